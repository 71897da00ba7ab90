# An MSI with vector 0x40, counted by its handler. The local APIC is used in
# x2APIC mode, whose registers real mode can reach.
	.code16
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x7f00, %sp
	movw	$0x8000 + msi_handler - guest_msi, 0x40 * 4
	movw	$0, 0x40 * 4 + 2
	mov	$0x1b, %ecx
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$0x80f, %ecx
	mov	$0x1ff, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0xf0, %dx
	mov	$1, %eax
	out	%eax, %dx
msi_wait:	mov	$0x7f00, %sp
	sti
1:	hlt
	jmp	1b
msi_handler:
	# end of interrupt
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0xf0, %dx
	mov	$0x40, %eax
	out	%eax, %dx
	jmp	msi_wait
