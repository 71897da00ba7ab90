# One x87 instruction: an emulating host may not know it.
	.code16
	fwait
	out	%al, $0xf4
1:	hlt
	jmp	1b
