# A run of byte writes to gathered (coalesced) MMIO, then an exit.
	.code16
	mov	$0xa000, %ax
	mov	%ax, %ds
	xor	%bx, %bx
	mov	$300, %cx
1:	mov	%bl, (%bx)
	inc	%bx
	loop	1b
	out	%al, $0xf4
2:	hlt
	jmp	2b
