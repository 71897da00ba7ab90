# Port reads and writes of each size, and string instructions.
	.code16
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	cld
	mov	$0xf0, %dx
	mov	$0x12, %al
	out	%al, %dx
	mov	$0x3456, %ax
	out	%ax, %dx
	mov	$0x789abcde, %eax
	out	%eax, %dx
	# what the register gives back, by size
	mov	$0xf8, %dx
	mov	$0x11223344, %eax
	out	%eax, %dx
	xor	%eax, %eax
	in	%dx, %al
	call	9f
	xor	%eax, %eax
	in	%dx, %ax
	call	9f
	in	%dx, %eax
	call	9f
	# nothing is there: all ones
	mov	$0x300, %dx
	in	%dx, %eax
	call	9f
	# four bytes out of memory by one instruction
	mov	$0x7000, %si
	movl	$0x04030201, (%si)
	mov	$4, %cx
	mov	$0xf0, %dx
	rep	outsb
	# three words into memory, then back out
	mov	$0x7010, %di
	mov	$3, %cx
	mov	$0xf8, %dx
	rep	insw
	mov	$0x7010, %si
	mov	$3, %cx
	mov	$0xf0, %dx
	rep	outsw
	out	%al, $0xf4
1:	hlt
	jmp	1b
9:	push	%dx
	mov	$0xf0, %dx
	out	%eax, %dx
	pop	%dx
	ret
