#include "go_asm.h"
#include "textflag.h"

// The interpreter of programs for arm64; see interpreter_amd64.s.
//
//	R19 op being run   R22 its number   R20 end   R21 report   R23 retries
TEXT ·interpreter(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $0x300000, R21
	MOVD R21, R0
	MOVD $4096, R1
	MOVD $3, R2
	MOVD $0x11, R3
	MOVD $126, R4
	MOVD $0, R5
	MOVD $222, R8 // mmap
	SVC
	CMP  R21, R0
	BNE  noreport
	MOVD $0x410000, R19
	MOVD (R19), R20
	ADD  $16, R19
	MOVD $0, R22
	MOVD $0, R23

next:
	CMP  R20, R19
	BHS  broken
	MOVW R22, (R21)
	MOVBU 77(R19), R9
	TBNZ $3, R9, advance // jump: no call
	TBZ  $2, R9, call    // fail: no call
	MOVD 56(R19), R0
	B    fail

call:
	MOVD (R19), R8
	MOVD 8(R19), R0
	MOVD 16(R19), R1
	MOVD 24(R19), R2
	MOVD 32(R19), R3
	MOVD 40(R19), R4
	MOVD 48(R19), R5
	SVC
	CMN  $4095, R0
	BHS  error
	MOVD $0, R23
	MOVW 64(R19), R1
	TBNZ $63, R1, kept
	CMP  R1, R0
	BEQ  kept
	MOVD R0, R24
	MOVD $0x80000, R2 // O_CLOEXEC
	MOVD $24, R8      // dup3
	SVC
	CMN  $4095, R0
	BHS  dupfailed
	MOVD R24, R0
	MOVD $57, R8 // close
	SVC
	MOVD R24, R0

kept:
	MOVBU 77(R19), R9
	TBZ  $0, R9, unchecked // must: the result is checked
	MOVD 56(R19), R10
	CMP  R10, R0
	BNE  wrong

unchecked:
	TBZ  $1, R9, advance // fork: the old half reports the new pid and leaves
	CBZ  R0, advance
	MOVW R0, 8(R21)
	MOVD $0, R0
	MOVD $94, R8 // exit_group
	SVC

advance:
	MOVBU 76(R19), R9
	ADD  $1, R9
	ADD  R9, R22
	MOVD $80, R10
	MUL  R10, R9
	ADD  R9, R19
	B    next

error:
	NEG  R0, R0
	CMP  $4, R0 // EINTR
	BEQ  retry
	CMP  $11, R0 // EAGAIN of openat2: something was renamed under it
	BNE  accepted
	MOVD (R19), R9
	CMP  $437, R9
	BNE  accepted

retry:
	ADD  $1, R23
	CMP  $128, R23
	BLT  call

accepted:
	MOVHU 68(R19), R9
	CMP  R9, R0
	BEQ  tolerated
	MOVHU 70(R19), R9
	CMP  R9, R0
	BEQ  tolerated
	MOVHU 72(R19), R9
	CMP  R9, R0
	BEQ  tolerated
	MOVHU 74(R19), R9
	CMP  R9, R0
	BNE  fail

tolerated:
	ADD  $1, R22
	ADD  $80, R19
	MOVD $0, R23
	B    next

wrong:
	CBNZ R0, eio
	MOVD (R19), R9
	CMP  $63, R9 // read
	BNE  eio
	MOVD $32, R0 // EPIPE: the parent is gone
	B    fail

eio:
	MOVD $5, R0
	B    fail

dupfailed:
	NEG  R0, R0

fail:
	MOVW R0, 4(R21)

broken:
	MOVD $127, R0
	MOVD $94, R8
	SVC
	B    broken

noreport: // executed by a payload: say so
	MOVD $2, R0
	MOVD $const_noteAddr, R1
	MOVD $const_noteSize, R2
	MOVD $64, R8 // write
	SVC

unsaid:
	MOVD $126, R0
	MOVD $94, R8
	SVC
	B    unsaid

	WORD $0x91b327be
	WORD $0xf74cd05e

// func interpreterAddr() uintptr
TEXT ·interpreterAddr(SB), NOSPLIT, $0-8
	MOVD $·interpreter(SB), R0
	MOVD R0, ret+0(FP)
	RET
