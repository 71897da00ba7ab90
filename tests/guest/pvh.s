# 32-bit flat code, entered as PVH: say ebx, the segments' reach and cr0.
	.code32
	mov	$0xf0, %edx
	mov	%ebx, %eax
	out	%eax, %dx
	mov	$0x600000, %edi
	movl	$0xfeedface, (%edi)
	mov	(%edi), %eax
	out	%eax, %dx
	mov	%cr0, %eax
	out	%eax, %dx
	out	%al, $0xf4
1:	hlt
	jmp	1b
	.code16
