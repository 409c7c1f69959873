"""What a file of weights may hold.  Without torch: a process that reads a pickle has to start at once."""

MOST_TENSORS, MOST_AXES, LONGEST_NAME = 100_000, 8, 500
LARGEST_SIZE = 2**48  # of an axis or an offset, far above any file
DTYPES = {  # its name in safetensors -> bytes, torch's name, and torch's of a storage
    "F64": (8, "float64", "DoubleStorage"),
    "F32": (4, "float32", "FloatStorage"),
    "F16": (2, "float16", "HalfStorage"),
    "BF16": (2, "bfloat16", "BFloat16Storage"),
    "I64": (8, "int64", "LongStorage"),
    "I32": (4, "int32", "IntStorage"),
    "I16": (2, "int16", "ShortStorage"),
    "I8": (1, "int8", "CharStorage"),
    "U8": (1, "uint8", "ByteStorage"),
    "BOOL": (1, "bool", "BoolStorage"),
    "F8_E4M3": (1, "float8_e4m3fn", ""),
    "F8_E5M2": (1, "float8_e5m2", ""),
}
