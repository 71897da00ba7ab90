# No interrupt table at all, then a fault in protected mode. (In real mode
# KVM's emulator does not look at the table's limit.)
	.code16
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	$0x1234, %bx
	movw	$0, 0x7000
	movl	$0, 0x7002
	lidt	0x7000
	movl	$0, 0x7010
	movl	$0, 0x7014
	movl	$0x0000ffff, 0x7018
	movl	$0x00cf9b00, 0x701c
	movw	$0x0f, 0x7008
	movl	$0x7010, 0x700a
	lgdtl	0x7008
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$8, $0x8000 + triple_32 - guest_triple
	.code32
triple_32:
	ud2
	.code16
