# Wake CPU 1 by INIT and SIPI (x2APIC); both say their APIC id.
	.code16
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7f00, %sp
	# the other CPU's code to 0x9000
	mov	$0x8000 + smp_ap - guest_smp, %si
	mov	$0x9000, %di
	mov	$smp_ap_end - smp_ap, %cx
	cld
	rep	movsb
	movl	$0, 0x7000
	mov	$0x1b, %ecx
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$0x80f, %ecx
	mov	$0x1ff, %eax
	xor	%edx, %edx
	wrmsr
	# interrupt command: INIT, then start-up at page 9
	mov	$0x830, %ecx
	mov	$1, %edx
	mov	$0x4500, %eax
	wrmsr
	mov	$0x4609, %eax
	wrmsr
	mov	$0x4609, %eax
	wrmsr
1:	pause
	cmpl	$1, 0x7000
	jne	1b
	mov	$0xf0, %dx
	xor	%eax, %eax
	out	%eax, %dx
	out	%al, $0xf4
2:	hlt
	jmp	2b
smp_ap:	xor	%ax, %ax
	mov	%ax, %ds
	# 0xb, EDX: x2APIC id; leaf 1 where there is no 0xb
	xor	%eax, %eax
	cpuid
	cmp	$0xb, %eax
	jb	3f
	mov	$0xb, %eax
	xor	%ecx, %ecx
	cpuid
	mov	%edx, %eax
	jmp	4f
3:	mov	$1, %eax
	cpuid
	mov	%ebx, %eax
	shr	$24, %eax
4:	add	$0x100, %eax
	mov	$0xf0, %dx
	out	%eax, %dx
	movl	$1, 0x7000
5:	cli
	hlt
	jmp	5b
smp_ap_end:
