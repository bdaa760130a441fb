/** Numbers of the protocol's column types ("enum_field_types" in MySQL's sources). */
export const TINY = 1
export const FLOAT = 4
export const DOUBLE = 5
export const NULL = 6
export const TIMESTAMP = 7
export const LONGLONG = 8
export const DATE = 10
export const TIME = 11
export const DATETIME = 12
export const NEWDATE = 14
export const VECTOR = 242
export const JSON = 245
export const NEWDECIMAL = 246
export const BLOB = 252
export const VAR_STRING = 253
