// The canonical NaNs, and how a value of each shape is made one: instructions around a scratch local.

import { VALUE } from "./module_reader.mjs";
import { FLOAT, OP } from "./opcodes.mjs";

/** The canonical NaN: positive, quiet, no payload (core specification 4.3.3). */
const F32_NAN = [0x00, 0x00, 0xc0, 0x7f];
const F64_NAN = [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x7f];

const [V128_CONST, F32X4_EQ, F64X2_EQ, V128_BITSELECT] = [[0xfd, 0x0c], [0xfd, 0x41], [0xfd, 0x47], [0xfd, 0x52]];

/** Per FLOAT shape: type of the scratch local, the canonical NaN, the test for "not NaN", and the choice. */
export const CANONICAL = {
  [FLOAT.F32]: { type: VALUE.F32, nan: [OP.F32_CONST, ...F32_NAN], equal: [OP.F32_EQ], choose: [OP.SELECT] },
  [FLOAT.F64]: { type: VALUE.F64, nan: [OP.F64_CONST, ...F64_NAN], equal: [OP.F64_EQ], choose: [OP.SELECT] },
  [FLOAT.F32X4]: {
    type: VALUE.V128, nan: [...V128_CONST, ...F32_NAN, ...F32_NAN, ...F32_NAN, ...F32_NAN], equal: F32X4_EQ,
    choose: V128_BITSELECT,
  },
  [FLOAT.F64X2]: {
    type: VALUE.V128, nan: [...V128_CONST, ...F64_NAN, ...F64_NAN], equal: F64X2_EQ, choose: V128_BITSELECT,
  },
};
