#include "textflag.h"

// The handler: write(fd, &sig, 1). It keeps nothing: the kernel restores all
// registers when it returns. A full pipe loses the signal, as the kernel would.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0-0
	SUBQ    $8, SP
	MOVB    DI, (SP)
	MOVLQSX ·fd(SB), DI
	MOVQ    SP, SI
	MOVL    $1, DX
	MOVL    $1, AX // write
	SYSCALL
	ADDQ    $8, SP
	RET

// Where the handler returns to.
TEXT ·restorer(SB), NOSPLIT|NOFRAME, $0-0
	MOVL $15, AX // rt_sigreturn
	SYSCALL
	INT  $3

// func addresses() (handler, restorer uint64)
TEXT ·addresses(SB), NOSPLIT, $0-16
	LEAQ ·handler(SB), AX
	MOVQ AX, handler+0(FP)
	LEAQ ·restorer(SB), AX
	MOVQ AX, restorer+8(FP)
	RET

// func rtSigaction(sig uintptr, act, old *action) (errno uintptr)
TEXT ·rtSigaction(SB), NOSPLIT, $0-32
	MOVQ sig+0(FP), DI
	MOVQ act+8(FP), SI
	MOVQ old+16(FP), DX
	MOVL $8, R10 // size of the mask
	MOVL $13, AX // rt_sigaction
	SYSCALL
	NEGQ AX
	MOVQ AX, errno+24(FP)
	RET
