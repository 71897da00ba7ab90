# 64-bit code, entered as Linux is: say rsi, touch RAM above 4 GiB, say more.
	.code64
	mov	$0xf0, %edx
	mov	%esi, %eax
	out	%eax, %dx
	movabs	$0x100002000, %rdi
	movabs	$0x1122334455667788, %rax
	mov	%rax, (%rdi)
	mov	4(%rdi), %eax
	out	%eax, %dx
	mov	%cs, %eax
	out	%eax, %dx
	mov	%cr0, %rax
	out	%eax, %dx
	out	%al, $0xf4
1:	hlt
	jmp	1b
	.code16
