"""Crafted pickles, written instruction by instruction: loading one would do something, or eat the machine."""

import io
import struct
import zipfile

import torch

from guidance_geometry.tests.programs import Payload

MAGIC = 0x1950A86A20F9469CFC6C


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def data(value):
    return b"B" + struct.pack("<I", len(value)) + value


def number(value):
    size = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def several(*items):
    return b"(" + b"".join(items) + b"t"


def listed(*items):
    return b"](" + b"".join(items) + b"e"


def call(called, *arguments):
    return called + several(*arguments) + b"R"


def table(*pairs):
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def touch(canary):
    return text(f"touch {canary}")


def code(canary):
    return text(f"open({str(canary)!r}, 'w').close()")


OS = call(name("builtins", "__import__"), text("os"))
SYSTEM = name("os", "system")
NONE, TRUE = b"N", b"\x88"


def storage(kind="FloatStorage", count=4, key="0", more=()):
    parts = (text("storage"), name("torch", kind), text(key), text("cpu"), number(count), *more)
    return several(*parts) + b"Q"


def tensor(offset=0, shape=(2, 2), strides=(2, 1), held=None, rebuild="_rebuild_tensor_v2"):
    numbers = (several(*map(number, values)) for values in (shape, strides))
    held = storage() if held is None else held
    return call(name("torch._utils", rebuild), held, number(offset), *numbers, b"\x89", b"}")


def evil_bytes(canary):
    """A file of torch.save within the pickle, as every plainly pickled tensor has one; this one is the payload."""
    held = io.BytesIO()
    torch.save(Payload(canary), held, _use_new_zipfile_serialization=False)
    return data(held.getvalue())


def setstate(canary):
    """An object of an allowed class whose own __setstate__ is put into its state, and then given a state."""
    made = name("argparse", "Namespace") + b")\x81"
    return made + table((text("__setstate__"), SYSTEM)) + b"b" + touch(canary) + b"b"


def extension(canary):
    return (
        call(name("copyreg", "add_extension"), text("os"), text("system"), number(77))
        + b"0\x82\x4d"
        + several(touch(canary))
        + b"R"
    )


def stacked(module, attribute):
    return text(module) + text(attribute) + b"\x93"


LIVE = {  # each of these makes the canary where a usual reader loads it
    "os.system": lambda c: call(SYSTEM, touch(c)),
    "subprocess.Popen": lambda c: call(name("subprocess", "Popen"), listed(text("touch"), text(str(c)))),
    "builtins.eval": lambda c: call(name("builtins", "eval"), code(c)),
    "builtins.getattr": lambda c: call(call(name("builtins", "getattr"), OS, text("system")), touch(c)),
    "STACK_GLOBAL": lambda c: call(stacked("os", "system"), touch(c)),
    "INST": lambda c: b"(" + touch(c) + b"ios\nsystem\n",
    "OBJ": lambda c: b"(" + name("subprocess", "Popen") + listed(text("touch"), text(str(c))) + b"o",
    "NEWOBJ": lambda c: name("functools", "partial") + several(SYSTEM, touch(c)) + b"\x81)R",
    "NEWOBJ_EX": lambda c: (
        name("functools", "partial") + several(SYSTEM) + table((text("command"), touch(c))) + b"\x92)R"
    ),
    "functools.reduce": lambda c: (
        call(name("functools", "reduce"), name("builtins", "getattr"), listed(OS, text("system")))
        + several(touch(c))
        + b"R"
    ),
    "BUILD with __setstate__": setstate,
    "copyreg and EXT1": extension,
    "a file within the pickle": lambda c: call(name("torch.storage", "_load_from_bytes"), evil_bytes(c)),
    "nested calls": lambda c: call(
        name("collections", "OrderedDict"), listed(several(text("a"), call(name("builtins", "eval"), code(c))))
    ),
    "in a key": lambda c: table((call(SYSTEM, touch(c)), NONE)),
    "behind the memo": lambda c: SYSTEM + b"q\x050h\x05" + several(touch(c)) + b"R",
}


def laughs(depth):
    """A list with a list twice in it, which has a list twice in it, and so on: 2^depth when it is walked through."""
    return b"](" * depth + b"]" + b"".join(b"q%ch%ce" % (level, level) for level in range(depth))


def hashed(depth):
    """The same of tuples, which may be keys."""
    return b")" + b"".join(b"q%ch%c\x86" % (level, level) for level in range(depth))


def file_within():
    """The file that a storage is in, where it is pickled without torch.save."""
    held = io.BytesIO()
    torch.save(torch.zeros(4)._typed_storage(), held, _use_new_zipfile_serialization=False)
    return data(held.getvalue())


def held_within():
    """A storage as it is pickled without torch.save."""
    return call(name("torch.storage", "_load_from_bytes"), file_within())


HUGE = 2**62
STILL = {  # with these a usual reader would only fail, hang or fill the memory
    "GLOBAL alone": SYSTEM,
    "EXT4": b"\x84\x01\x01\x01\x01",
    "BINPERSID of a storage that os.system is": several(
        text("storage"), SYSTEM, text("0"), text("cpu"), number(4), NONE
    )
    + b"Q",
    "a huge memo": b"]r\xff\xff\xff\xff",
    "a DUP bomb": b"]" + b"2\x86" * 60,
    "a LONG4 of a million bytes": b"\x8b" + struct.pack("<I", 1_000_000) + b"\x7f" * 1_000_000,
    "bytes that are not there": b"\x8e" + struct.pack("<Q", HUGE) + b"x",
    "an empty stack": b"R",
    "BUILD of a tensor": tensor() + table((text("__class__"), SYSTEM)) + b"b",
    "items into an object": name("argparse", "Namespace") + b")\x81(" + text("a") + NONE + b"u",
    "copyreg._reconstructor": call(
        name("copyreg", "_reconstructor"), name("builtins", "object"), name("builtins", "object"), NONE
    ),
    "a call of a text": call(text("os.system"), text("x")),
    "codecs other than latin1": call(name("_codecs", "encode"), text("x"), text("zlib")),
    "a persistent object without a class": call(name("torch_utils.persistence", "_reconstruct_persistent_obj"), b"}"),
    "a quantised tensor": call(name("torch._utils", "_rebuild_qtensor"), NONE),
}
CLAIMS = {  # tensors that lie about their storage of four float32 numbers
    "behind its end": tensor(offset=1),
    "a negative stride": tensor(offset=3, strides=(-2, -1)),
    "a negative shape": tensor(shape=(-2, -2)),
    "a stride that leaves it": tensor(strides=(2**40, 1)),
    "more numbers than there are": tensor(shape=(3, 2), strides=(1, 1)),
    "a shape that overflows": tensor(shape=(2**47, 2**47), strides=(0, 0)),
    "no numbers in a huge shape": tensor(shape=(2**47, 2**47, 0), strides=(0, 0, 0)),
    "a hundred axes": tensor(shape=(1,) * 100, strides=(1,) * 100),
    "a storage that is missing": tensor(held=storage(key="7")),
    "a storage of another size": tensor(held=storage(count=2**40)),
    "a storage of another type": tensor(held=storage("DoubleStorage")),
    "quantised numbers": tensor(held=storage("QInt8Storage")),
}


SET, ORDERED = name("builtins", "set"), name("collections", "OrderedDict")
ENCODE = name("_codecs", "encode")


def put(index):
    return b"r" + struct.pack("<I", index)


def get(index):
    return b"j" + struct.pack("<I", index)


def again(count, called, *arguments):
    """The same call many times, in a list: what it is called with stands in the file once."""
    return b"](" + called + put(1) + several(*arguments) + put(2) + (get(1) + get(2) + b"R") * count + b"e"


def many(count, item=b"K\x01"):
    """A list of so many values."""
    return b"](" + item * count + b"e"


def zipped_entries(count):
    """The directory of an archive alone, with as many entries as fit."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    size = len(entry) * count
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, size, 4, 0)
    return b"PK\x03\x04" + entry * count + end


def inner_program(size):
    """A file within the pickle that is a long program of its own."""
    return data(b"\x80\x02" + many(size) + b".")


BOMBS = {  # each below 10 MB, each with more than it seems: instructions that copy, share, or make much of little
    "a text encoded again and again": lambda: again(4000, ENCODE, text("x" * 3_000_000), text("latin1")),
    "sets of one list": lambda: again(3000, SET, many(900_000)),
    "a long name again and again": lambda: (
        b"]("
        + text("torch.nn.modules." + "x" * 200_000)
        + put(1)
        + text("Linear")
        + put(2)
        + (get(1) + get(2) + b"\x93") * 200_000
        + b"e"
    ),
    "a program within, again and again": lambda: again(
        10_000, name("torch.storage", "_load_from_bytes"), inner_program(500_000)
    ),
    "marks": lambda: b"(" * 900_000,
    "a memo that grows": lambda: b"N" + b"\x94" * 900_000,
    "views of one storage": lambda: again(
        600_000,
        name("torch._utils", "_rebuild_tensor_v2"),
        held_within(),
        number(0),
        several(number(1)),
        several(number(1)),
        TRUE,
        b"}",
    ),
    "letters of four bytes": lambda: text("x" * 9_000_000 + "\U0001f600"),
    "a number of nine million bytes": lambda: b"\x8b" + struct.pack("<I", 9_000_000) + b"\x7f" * 9_000_000,
}


def pickled(payload, weight=tensor()):  # noqa: B008  bytes
    """A pickle of a network's table with the payload in it."""
    return b"\x80\x04" + table((text("weight"), weight), (text("more"), payload)) + b"."


def members(payload):
    """What torch.save writes into an archive, with a payload in its pickle."""
    return {
        "net/data.pkl": pickled(payload),
        "net/byteorder": b"little",
        "net/data/0": bytes(16),
        "net/version": b"3\n",
    }


def zipped(path, inside, compression=zipfile.ZIP_STORED):
    """An archive of (name, content) pairs."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, content in inside:
            archive.writestr(member, content)
    return path


def archive(path, payload):
    """torch.save's form."""
    return zipped(path, members(payload).items())


def row(path, payload, keys=("0",), count=4):
    """The older form of torch.save."""
    system = table((text("little_endian"), TRUE))
    start = b"".join(b"\x80\x02" + part + b"." for part in (number(MAGIC), number(1001), system))
    end = b"\x80\x02" + listed(*map(text, keys)) + b"."
    numbers = b"".join(struct.pack("<q", count) + bytes(16) for _ in keys)
    path.write_bytes(start + pickled(payload, tensor(held=storage(more=[NONE]))) + end + numbers)
    return path


def alone(path, payload):
    """A pickle without torch.save around it."""
    path.write_bytes(pickled(payload, tensor(held=held_within())))
    return path


FORMS = {"archive": archive, "row": row, "pickle": alone}
