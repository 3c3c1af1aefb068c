#include "textflag.h"

// func prefetch(p unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVQ       p+0(FP), AX
	PREFETCHT0 (AX)
	RET

// func prefetchRows(base unsafe.Pointer, size uintptr, rows *uint32, n int)
TEXT ·prefetchRows(SB), NOSPLIT, $0-32
	MOVQ  base+0(FP), AX
	MOVQ  size+8(FP), BX
	MOVQ  rows+16(FP), SI
	MOVQ  n+24(FP), CX
	TESTQ CX, CX
	JLE   done
	CMPQ  BX, $64
	JHI   two

one:
	MOVL       (SI), DX
	IMULQ      BX, DX
	PREFETCHT0 (AX)(DX*1)
	ADDQ       $4, SI
	DECQ       CX
	JNZ        one
	RET

two:
	MOVL       (SI), DX
	IMULQ      BX, DX
	PREFETCHT0 (AX)(DX*1)
	PREFETCHT0 64(AX)(DX*1)
	ADDQ       $4, SI
	DECQ       CX
	JNZ        two

done:
	RET
