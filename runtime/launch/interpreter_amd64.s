#include "go_asm.h"
#include "textflag.h"

// The interpreter of programs, as it stands in the image that the child
// executes: it is never called here, its bytes are copied (see image.go).
// It uses no stack, calls nothing, and knows these places by their address:
//
//	0x300000  report   mapped here from descriptor 126
//	noteAddr  note     what there is to say without a report
//	0x410000  end      address behind the last op
//	0x410010  op 0
//
//	R12 op being run   BX its number   R13 end   R14 report   R15 retries
//
// Layout of an op: see assemble.go, type op.
TEXT ·interpreter(SB), NOSPLIT|NOFRAME, $0-0
	// mmap(report, 4096, READ|WRITE, SHARED|FIXED, 126, 0)
	MOVL $0x300000, R14
	MOVQ R14, DI
	MOVL $4096, SI
	MOVL $3, DX
	MOVL $0x11, R10
	MOVL $126, R8
	XORL R9, R9
	MOVL $9, AX
	SYSCALL
	CMPQ AX, R14
	JNE  noreport
	MOVL $0x410000, R12
	MOVQ (R12), R13
	ADDQ $16, R12
	XORL BX, BX
	XORL R15, R15

next:
	CMPQ R12, R13
	JAE  broken
	MOVL BX, (R14)
	MOVBLZX 77(R12), CX
	TESTL $8, CX // jump: no call
	JNZ  advance
	TESTL $4, CX // fail: no call
	JZ   call
	MOVQ 56(R12), AX
	JMP  fail

call:
	MOVQ (R12), AX
	MOVQ 8(R12), DI
	MOVQ 16(R12), SI
	MOVQ 24(R12), DX
	MOVQ 32(R12), R10
	MOVQ 40(R12), R8
	MOVQ 48(R12), R9
	SYSCALL
	CMPQ AX, $-4095
	JAE  error
	XORL R15, R15
	MOVLQSX 64(R12), SI
	TESTQ SI, SI
	JLT  kept
	CMPQ AX, SI
	JEQ  kept
	MOVQ AX, BP
	MOVQ AX, DI
	MOVL $0x80000, DX // O_CLOEXEC
	MOVL $292, AX     // dup3
	SYSCALL
	CMPQ AX, $-4095
	JAE  dupfailed
	MOVQ BP, DI
	MOVL $3, AX // close
	SYSCALL
	MOVQ BP, AX

kept:
	MOVBLZX 77(R12), CX
	TESTL $1, CX // must: the result is checked
	JZ   unchecked
	CMPQ AX, 56(R12)
	JNE  wrong

unchecked:
	TESTL $2, CX // fork: the old half reports the new pid and leaves
	JZ   advance
	TESTQ AX, AX
	JZ   advance
	MOVL AX, 8(R14)
	XORL DI, DI
	MOVL $231, AX // exit_group
	SYSCALL

advance:
	MOVBLZX 76(R12), CX
	INCL CX
	ADDL CX, BX
	IMUL3L $80, CX, CX
	ADDQ CX, R12
	JMP  next

error:
	NEGL AX
	CMPL AX, $4 // EINTR
	JEQ  retry
	CMPL AX, $11 // EAGAIN of openat2: something was renamed under it
	JNE  accepted
	CMPQ (R12), $437
	JNE  accepted

retry:
	INCL R15
	CMPL R15, $128
	JLT  call

accepted:
	CMPW AX, 68(R12)
	JEQ  tolerated
	CMPW AX, 70(R12)
	JEQ  tolerated
	CMPW AX, 72(R12)
	JEQ  tolerated
	CMPW AX, 74(R12)
	JNE  fail

tolerated:
	INCL BX
	ADDQ $80, R12
	XORL R15, R15
	JMP  next

wrong:
	TESTQ AX, AX
	JNZ  eio
	CMPQ (R12), $0 // read
	JNE  eio
	MOVL $32, AX // EPIPE: the parent is gone
	JMP  fail

eio:
	MOVL $5, AX
	JMP  fail

dupfailed:
	NEGL AX

fail:
	MOVL AX, 4(R14)

broken:
	MOVL $127, DI
	MOVL $231, AX
	SYSCALL
	JMP  broken

noreport: // executed by a payload: say so
	MOVL $2, DI
	MOVL $const_noteAddr, SI
	MOVL $const_noteSize, DX
	MOVL $1, AX // write
	SYSCALL

unsaid:
	MOVL $126, DI
	MOVL $231, AX
	SYSCALL
	JMP  unsaid

	// The end, found by image.go: eight bytes that no instruction above has.
	BYTE $0xbe
	BYTE $0x27
	BYTE $0xb3
	BYTE $0x91
	BYTE $0x5e
	BYTE $0xd0
	BYTE $0x4c
	BYTE $0xf7

// func interpreterAddr() uintptr
TEXT ·interpreterAddr(SB), NOSPLIT, $0-8
	LEAQ ·interpreter(SB), AX
	MOVQ AX, ret+0(FP)
	RET
