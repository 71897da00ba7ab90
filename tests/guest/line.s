# PIC line 3: take the interrupt, say so from its handler.
	.code16
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x7f00, %sp
	movw	$0x8000 + line_handler - guest_line, 0x2b * 4
	movw	$0, 0x2b * 4 + 2
	mov	$0x11, %al
	out	%al, $0x20
	mov	$0x28, %al
	out	%al, $0x21
	mov	$0x04, %al
	out	%al, $0x21
	mov	$0x01, %al
	out	%al, $0x21
	mov	$0xf7, %al
	out	%al, $0x21
	# ready
	mov	$0xf0, %dx
	mov	$1, %eax
	out	%eax, %dx
	sti
1:	hlt
	jmp	1b
line_handler:
	mov	$0xf0, %dx
	mov	$0x2b, %eax
	out	%eax, %dx
	out	%al, $0xf4
2:	hlt
	jmp	2b
