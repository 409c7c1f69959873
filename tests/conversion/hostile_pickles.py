"""Crafted pickles, written instruction by instruction: loading one would do something, or eat the machine."""

import io
import marshal
import struct
import zipfile

import numpy as np
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


def evil_array(canary):
    path = canary.with_name(f"{canary.name}.npy")
    np.save(path, np.array([Payload(canary)], dtype=object), allow_pickle=True)
    return text(str(path))


def evil_file(canary):
    path = canary.with_name(f"{canary.name}.pt")
    torch.save(Payload(canary), path)
    return text(str(path))


def evil_script(canary):
    path = canary.with_name(f"{canary.name}.py")
    path.write_text(f"open({str(canary)!r}, 'w').close()\n", encoding="utf-8")
    return text(str(path))


def evil_hub(canary):
    folder = canary.with_name(f"{canary.name}-hub")
    folder.mkdir(exist_ok=True)
    (folder / "hubconf.py").write_text(f"def entry():\n    open({str(canary)!r}, 'w').close()\n", encoding="utf-8")
    return text(str(folder))


def evil_bytes(canary):
    """A file of torch.save within the pickle, as every plainly pickled tensor has one; this one is the payload."""
    held = io.BytesIO()
    torch.save(Payload(canary), held, _use_new_zipfile_serialization=False)
    return data(held.getvalue())


def compiled(canary):
    return data(marshal.dumps(compile(f"open({str(canary)!r}, 'w').close()", "x", "exec")))


def nested(canary):
    return data(b"\x80\x02" + call(SYSTEM, touch(canary)) + b".")


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


def path_of(canary):
    return call(name("pathlib", "PosixPath"), text(str(canary)))


LIVE = {  # each of these makes the canary where a usual reader loads it
    "os.system": lambda c: call(SYSTEM, touch(c)),
    "posix.system": lambda c: call(name("posix", "system"), touch(c)),
    "os.popen": lambda c: call(name("os", "popen"), touch(c)),
    "os.posix_spawn": lambda c: call(
        name("os", "posix_spawn"), text("/bin/sh"), listed(text("sh"), text("-c"), touch(c)), b"}"
    ),
    "os.mkdir": lambda c: call(name("os", "mkdir"), text(str(c))),
    "os.symlink": lambda c: call(name("os", "symlink"), text("/dev/null"), text(str(c))),
    "subprocess.Popen": lambda c: call(name("subprocess", "Popen"), listed(text("touch"), text(str(c)))),
    "subprocess.check_output": lambda c: call(name("subprocess", "check_output"), listed(text("touch"), text(str(c)))),
    "subprocess.getoutput": lambda c: call(name("subprocess", "getoutput"), touch(c)),
    "builtins.eval": lambda c: call(name("builtins", "eval"), code(c)),
    "builtins.exec": lambda c: call(name("builtins", "exec"), code(c)),
    "builtins.compile": lambda c: call(
        name("builtins", "eval"), call(name("builtins", "compile"), code(c), text("x"), text("eval"))
    ),
    "builtins.getattr": lambda c: call(call(name("builtins", "getattr"), OS, text("system")), touch(c)),
    "builtins.open": lambda c: call(name("builtins", "open"), text(str(c)), text("w")),
    "builtins.map": lambda c: call(name("builtins", "list"), call(name("builtins", "map"), SYSTEM, listed(touch(c)))),
    "logging.FileHandler": lambda c: call(name("logging", "FileHandler"), text(str(c))),
    "zipfile.ZipFile": lambda c: call(name("zipfile", "ZipFile"), text(str(c)), text("w")),
    "torch.save": lambda c: call(name("torch", "save"), number(1), text(str(c))),
    "_io.FileIO": lambda c: call(name("_io", "FileIO"), text(str(c)), text("w")),
    "pathlib.touch": lambda c: call(stacked("pathlib", "Path.touch"), path_of(c)),
    "pathlib.write_text": lambda c: call(stacked("pathlib", "Path.write_text"), path_of(c), text("x")),
    "STACK_GLOBAL": lambda c: call(stacked("os", "system"), touch(c)),
    "STACK_GLOBAL through a module": lambda c: call(stacked("pathlib", "os.system"), touch(c)),
    "INST": lambda c: b"(" + touch(c) + b"ios\nsystem\n",
    "INST Popen": lambda c: b"(" + listed(text("touch"), text(str(c))) + b"isubprocess\nPopen\n",
    "OBJ": lambda c: b"(" + name("subprocess", "Popen") + listed(text("touch"), text(str(c))) + b"o",
    "NEWOBJ": lambda c: name("functools", "partial") + several(SYSTEM, touch(c)) + b"\x81)R",
    "NEWOBJ_EX": lambda c: (
        name("functools", "partial") + several(SYSTEM) + table((text("command"), touch(c))) + b"\x92)R"
    ),
    "functools.partial": lambda c: call(name("functools", "partial"), SYSTEM, touch(c)) + b")R",
    "functools.reduce": lambda c: (
        call(name("functools", "reduce"), name("builtins", "getattr"), listed(OS, text("system")))
        + several(touch(c))
        + b"R"
    ),
    "operator.methodcaller": lambda c: (
        call(name("operator", "methodcaller"), text("system"), touch(c)) + several(OS) + b"R"
    ),
    "BUILD with __setstate__": setstate,
    "copyreg and EXT1": extension,
    "runpy.run_path": lambda c: call(name("runpy", "run_path"), evil_script(c)),
    "timeit.timeit": lambda c: call(name("timeit", "timeit"), text("pass"), code(c)),  # as its set-up: once
    "cProfile.run": lambda c: call(name("cProfile", "run"), code(c)),
    "pydoc.pipepager": lambda c: call(name("pydoc", "pipepager"), text(""), touch(c)),
    "shutil.copyfile": lambda c: call(name("shutil", "copyfile"), text("/dev/null"), text(str(c))),
    "marshal and FunctionType": lambda c: (
        call(name("types", "FunctionType"), call(name("marshal", "loads"), compiled(c)), b"}") + b")R"
    ),
    "pickle.loads": lambda c: call(name("pickle", "loads"), nested(c)),
    "_pickle.loads": lambda c: call(name("_pickle", "loads"), nested(c)),
    "numpy.load": lambda c: call(name("numpy", "load"), evil_array(c), NONE, TRUE),
    "numpy.frompyfunc": lambda c: (
        call(name("numpy", "frompyfunc"), SYSTEM, number(1), number(1)) + several(touch(c)) + b"R"
    ),
    "torch.load": lambda c: (
        name("functools", "partial")
        + several(name("torch", "load"))
        + table((text("weights_only"), b"\x89"))
        + b"\x92"
        + several(evil_file(c))
        + b"R"
    ),
    "torch.hub": lambda c: call(name("torch.hub", "_load_local"), evil_hub(c), text("entry")),
    "a file within the pickle": lambda c: call(name("torch.storage", "_load_from_bytes"), evil_bytes(c)),
    "_rebuild_from_type_v2": lambda c: call(
        name("torch._tensor", "_rebuild_from_type_v2"), SYSTEM, name("builtins", "int"), several(touch(c)), b"}"
    ),
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
    "__builtin__.eval": call(name("__builtin__", "eval"), text("1")),
    "nt.system": call(name("nt", "system"), text("x")),
    "EXT1": b"\x82\x01",
    "EXT2": b"\x83\x01\x01",
    "EXT4": b"\x84\x01\x01\x01\x01",
    "PERSID": b"Pstorage\n",
    "BINPERSID of a module": several(text("module"), name("torch.nn.modules.linear", "Linear"), text("x"), text("y"))
    + b"Q",
    "BINPERSID of nothing": b"NQ",
    "BINPERSID of a storage that os.system is": several(
        text("storage"), SYSTEM, text("0"), text("cpu"), number(4), NONE
    )
    + b"Q",
    "a huge memo": b"]r\xff\xff\xff\xff",
    "a DUP bomb": b"]" + b"2\x86" * 60,
    "a key that is hashed for ever": table((hashed(60), NONE)),
    "a set that is hashed for ever": b"\x8f(" + hashed(60) + b"\x90",
    "a set made of a list": call(name("builtins", "set"), listed(hashed(60))),
    "numbers that share a hash": table(*((number(k * (2**61 - 1)), NONE) for k in range(1, 9))),
    "a number of a million digits": b"L" + b"9" * 1_000_000 + b"L\n",
    "a LONG4 of a million bytes": b"\x8b" + struct.pack("<I", 1_000_000) + b"\x7f" * 1_000_000,
    "bytes that are not there": b"\x8e" + struct.pack("<Q", HUGE) + b"x",
    "a text that is not there": b"\x8d" + struct.pack("<Q", HUGE) + b"x",
    "an empty stack": b"R",
    "no mark": b"t",
    "half of a pair": b"}(" + text("a") + b"u",
    "an instruction that is none": b"\xff",
    "BUILD of a list": b"]}b",
    "BUILD of a tensor": tensor() + table((text("__class__"), SYSTEM)) + b"b",
    "items into an object": name("argparse", "Namespace") + b")\x81(" + text("a") + NONE + b"u",
    "a defaultdict of os.system": call(name("collections", "defaultdict"), SYSTEM),
    "copyreg._reconstructor": call(
        name("copyreg", "_reconstructor"), name("builtins", "object"), name("builtins", "object"), NONE
    ),
    "types.CodeType": call(name("types", "CodeType")),
    "torch.package": call(name("torch.package", "PackageImporter"), text("x")),
    "a call of a dtype": call(name("torch", "float32"), text("x")),
    "a call of a text": call(text("os.system"), text("x")),
    "a name that is a number": number(1) + number(2) + b"\x93",
    "a name without a dot": stacked("", "system"),
    "codecs other than latin1": call(name("_codecs", "encode"), text("x"), text("zlib")),
    "a parameter of a text": call(name("torch._utils", "_rebuild_parameter"), text("x"), TRUE, b"}"),
    "a tensor of a text": call(
        name("torch._utils", "_rebuild_tensor_v2"), text("x"), number(0), b")", b")", TRUE, b"}"
    ),
    "too few arguments": call(name("torch._utils", "_rebuild_tensor_v2")),
    "a persistent object without a class": call(name("torch_utils.persistence", "_reconstruct_persistent_obj"), b"}"),
    "a file within that is no storage": call(name("torch.storage", "_load_from_bytes"), data(b"\x80\x02}.")),
    "a file within a file within": call(
        name("torch.storage", "_load_from_bytes"), data(b"\x80\x02" + held_within() + b".")
    ),
    "a sparse tensor": call(name("torch._utils", "_rebuild_sparse_tensor"), NONE, NONE),
    "a quantised tensor": call(name("torch._utils", "_rebuild_qtensor"), NONE),
    "a tensor without numbers": call(name("torch._utils", "_rebuild_meta_tensor_no_storage"), NONE),
}
CLAIMS = {  # tensors that lie about their storage of four float32 numbers
    "behind its end": tensor(offset=1),
    "far behind its end": tensor(offset=2**40),
    "before its start": tensor(offset=-1),
    "a negative stride": tensor(offset=3, strides=(-2, -1)),
    "a negative shape": tensor(shape=(-2, -2)),
    "a stride that leaves it": tensor(strides=(2**40, 1)),
    "terabytes by a stride of 0": tensor(shape=(2**20, 2**20), strides=(0, 0)),
    "more numbers than there are": tensor(shape=(3, 2), strides=(1, 1)),
    "a shape that overflows": tensor(shape=(2**47, 2**47), strides=(0, 0)),
    "a shape of huge numbers": tensor(shape=(2**100, 1)),
    "no numbers in a huge shape": tensor(shape=(2**47, 2**47, 0), strides=(0, 0, 0)),
    "a hundred axes": tensor(shape=(1,) * 100, strides=(1,) * 100),
    "axes without strides": tensor(shape=(2, 2), strides=(1,)),
    "a storage that is missing": tensor(held=storage(key="7")),
    "a storage of another size": tensor(held=storage(count=2**40)),
    "a storage of another type": tensor(held=storage("DoubleStorage")),
    "a storage outside": tensor(held=storage(key="../../../etc/passwd")),
    "complex numbers": tensor(shape=(1,), strides=(1,), held=storage("ComplexFloatStorage", 2)),
    "quantised numbers": tensor(held=storage("QInt8Storage")),
}


SET, FROZEN, ORDERED, SIZE = (
    name(*path.rsplit(".", 1))
    for path in ("builtins.set", "builtins.frozenset", "collections.OrderedDict", "torch.Size")
)
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


def list_of_numbers(count):
    """A list of so many different numbers."""
    return b"](" + b"".join(b"J" + struct.pack("<i", index) for index in range(count)) + b"e"


def zipped_entries(count):
    """The directory of an archive alone, with as many entries as fit."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    size = len(entry) * count
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, size, 4, 0)
    return b"PK\x03\x04" + entry * count + end


def pairs(count):
    return b"](" + b"".join(b"J" + struct.pack("<i", index) + b"N\x86" for index in range(count)) + b"e"


def objects_of_one_state(count, state):
    """Objects that have one state, each under a name of its own."""
    made = name("argparse", "Namespace") + put(1)
    held = table(*((text(f"m{index}"), get(1) + b")\x81" + get(2) + b"b") for index in range(count)))
    return b"](" + made + state + put(2) + held + b"e"


def module(parameters, modules=b"}"):
    return table((text("_parameters"), parameters), (text("_modules"), modules), (text("_buffers"), b"}"))


def many_modules(count, width):
    """A module whose many parts have the same many parameters."""
    weight, cls = tensor(held=held_within()), name("torch.nn.modules.linear", "Linear")
    wide = table(*((text(f"p{index}"), get(3)) for index in range(width)))
    part = cls + b")\x81" + module(wide) + b"b"
    parts = table(*((text(f"m{index}"), get(4)) for index in range(count)))
    whole = get(5) + b")\x81" + module(b"}", parts) + b"b"
    return b"](" + weight + put(3) + cls + put(5) + part + put(4) + whole + b"e"


def inner_program(size):
    """A file within the pickle that is a long program of its own."""
    return data(b"\x80\x02" + many(size) + b".")


def broad(count, axes=8):
    """Tensors without numbers, of many axes and huge sizes."""
    sizes = (2**6,) * (axes - 1) + (0,)
    return table(
        *((text(f"w{index}"), tensor(shape=sizes, strides=sizes, held=held_within())) for index in range(count))
    )


BOMBS = {  # each below 10 MB, each with more than it seems: instructions that copy, share, or make much of little
    "a text encoded again and again": lambda: again(4000, ENCODE, text("x" * 3_000_000), text("latin1")),
    "a text of 200 kB encoded again and again": lambda: again(100_000, ENCODE, text("x" * 200_000), text("latin1")),
    "sets of one list": lambda: again(3000, SET, many(900_000)),
    "frozen sets of one list": lambda: again(3000, FROZEN, many(900_000)),
    "sizes of one list": lambda: again(3000, SIZE, many(900_000)),
    "dictionaries of one list of pairs": lambda: again(3000, ORDERED, pairs(200_000)),
    "dictionaries of one dictionary": lambda: again(3000, ORDERED, call(ORDERED, pairs(20_000))),
    "sets of a short list": lambda: again(300_000, SET, many(400)),
    "sizes of a tuple": lambda: again(300_000, SIZE, SIZE + b"(" + many(30_000) + b"tR"),
    "a call with many arguments": lambda: again(300_000, ORDERED, b")", *[NONE] * 300_000),
    "a parameter with many arguments": lambda: again(
        300_000, name("torch._utils", "_rebuild_parameter"), tensor(held=held_within()), *[NONE] * 300_000
    ),
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
    "a storage within, again and again": lambda: again(
        100_000, name("torch.storage", "_load_from_bytes"), file_within()
    ),
    "empty sets that are called for": lambda: again(300_000, SET),
    "marks": lambda: b"(" * 900_000,
    "lists": lambda: b"]" * 900_000,
    "sets": lambda: b"\x8f" * 900_000,
    "dictionaries": lambda: b"}" * 900_000,
    "tuples in tuples": lambda: b")" + b"\x85" * 900_000,
    "small numbers": lambda: many(2_500_000),
    "different numbers": lambda: list_of_numbers(900_000),
    "fractions": lambda: many(500_000, b"G" + bytes(8)),
    "short texts": lambda: many(900_000, b"\x8c\x01a"),
    "a value from the memo": lambda: b"N" + put(1) + b"](" + b"h\x01" * 900_000 + b"e",
    "a memo that grows": lambda: b"N" + b"\x94" * 900_000,
    "a memo with holes": lambda: b"N" + b"".join(put(index) for index in range(0, 900_000, 2)),
    "one list that is appended to": lambda: b"]" + b"Na" * 500_000,
    "one dictionary that is set": lambda: b"}" + b"".join(b"J%bNs" % struct.pack("<i", i) for i in range(300_000)),
    "one set that is added to": lambda: b"\x8f" + b"".join(b"(J%b\x90" % struct.pack("<i", i) for i in range(200_000)),
    "names": lambda: b"](" + SIZE * 200_000 + b"e",
    "objects": lambda: b"](" + name("argparse", "Namespace") + put(1) + (get(1) + b")\x81") * 300_000 + b"e",
    "storages": lambda: b"](" + held_within() * 8_000 + b"e",
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
    "objects of one state": lambda: objects_of_one_state(
        50_000, table(*((text(f"x{i}"), NONE) for i in range(50_000)))
    ),
    "modules of the same parameters": lambda: many_modules(30_000, 30_000),
    "tensors of many axes": lambda: broad(4_000),
    "letters of four bytes": lambda: text("x" * 9_000_000 + "\U0001f600"),
    "shorter letters of four bytes": lambda: text("x" * 60_000 + "\U0001f600") * 140,
    "half letters": lambda: b"X" + struct.pack("<I", 9_000_000) + b"\xed\xa0\x80" * 3_000_000,
    "short half letters": lambda: (b"X" + struct.pack("<I", 60_000) + b"\xed\xa0\x80" * 20_000) * 140,
    "a number of nine million bytes": lambda: b"\x8b" + struct.pack("<I", 9_000_000) + b"\x7f" * 9_000_000,
    "nine million digits": lambda: b"I" + b"9" * 9_000_000 + b"\n",
    "a line of nine million letters": lambda: b"c" + b"x" * 9_000_000 + b"\ny\n",
    "a name under a long one": lambda: table(
        (
            text("n" * 60_000),
            table(*((text(f"m{i}"), table((text("w"), tensor(held=held_within())))) for i in range(2_000))),
        )
    ),
    "settings without end": lambda: table(
        (
            text("ema"),
            name("torch.nn.modules.linear", "Linear")
            + b")\x81"
            + table(
                *((text(f"a{i}"), number(i)) for i in range(100_000)),
                (text("_parameters"), table((text("w"), tensor(held=held_within())))),
            )
            + b"b",
        )
    ),
    "entries beside the weights": lambda: table(*((number(index), NONE) for index in range(200_000))),
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
