#include "textflag.h"

// See sigpipe_amd64.s.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0-0
	SUB  $16, RSP
	MOVB R0, (RSP)
	MOVW ·fd(SB), R0
	MOVD RSP, R1
	MOVD $1, R2
	MOVD $64, R8 // write
	SVC
	ADD  $16, RSP
	RET

TEXT ·restorer(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $139, R8 // rt_sigreturn
	SVC
	BRK

// func addresses() (handler, restorer uint64)
TEXT ·addresses(SB), NOSPLIT, $0-16
	MOVD $·handler(SB), R0
	MOVD R0, handler+0(FP)
	MOVD $·restorer(SB), R0
	MOVD R0, restorer+8(FP)
	RET

// func rtSigaction(sig uintptr, act, old *action) (errno uintptr)
TEXT ·rtSigaction(SB), NOSPLIT, $0-32
	MOVD sig+0(FP), R0
	MOVD act+8(FP), R1
	MOVD old+16(FP), R2
	MOVD $8, R3
	MOVD $134, R8 // rt_sigaction
	SVC
	NEG  R0, R0
	MOVD R0, errno+24(FP)
	RET
