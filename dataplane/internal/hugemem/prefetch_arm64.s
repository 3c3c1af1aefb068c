#include "textflag.h"

// func prefetch(p unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET

// func prefetchRows(base unsafe.Pointer, size uintptr, rows *uint32, n int)
TEXT ·prefetchRows(SB), NOSPLIT, $0-32
	MOVD base+0(FP), R0
	MOVD size+8(FP), R1
	MOVD rows+16(FP), R2
	MOVD n+24(FP), R3
	CMP  $0, R3
	BLE  done
	CMP  $64, R1
	BHI  two

one:
	MOVWU.P 4(R2), R4
	MADD    R1, R0, R4, R5
	PRFM    (R5), PLDL1KEEP
	SUBS    $1, R3
	BNE     one
	RET

two:
	MOVWU.P 4(R2), R4
	MADD    R1, R0, R4, R5
	PRFM    (R5), PLDL1KEEP
	PRFM    64(R5), PLDL1KEEP
	SUBS    $1, R3
	BNE     two

done:
	RET
