"""What other libraries hand over, made by hand: DLPack capsules with any content, and device arrays.

Nothing here is emisopt's: the structs are written from DLPack's page, so that two readings of it meet.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

CPU, CUDA = 1, 2
READ_ONLY, IS_COPIED = 1, 2


class Device(ctypes.Structure):
    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("ndim", ctypes.c_int32),
        ("dtype", DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter))


class ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
_name = ctypes.pythonapi.PyCapsule_GetName
_name.restype, _name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.restype, _rename.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)


def name_of(capsule: Any) -> str:
    return _name(capsule).decode()


class Peer:
    """An array of a foreign library: numbers at an address, and whatever is said of them.

    Counts how often its deleter is called, keeps what `__dlpack__` was asked for, and can be made wrong in
    any field: `tensor` is the struct itself, `name` the capsule's.
    """

    def __init__(
        self,
        address: int,
        shape: Sequence[int],
        strides: Sequence[int] | None = None,
        *,
        device: tuple[int, int] = (CPU, 0),
        versioned: bool = True,
        offset: int = 0,
        dtype: tuple[int, int, int] = (2, 32, 1),
        keep: Any = None,
    ) -> None:
        self.deleted = 0
        self.asked: list[dict[str, Any]] = []
        self.says_device = device
        self.keep = keep
        self.managed: Any = ManagedVersioned() if versioned else Managed()
        if versioned:
            self.managed.major, self.managed.minor = 1, 0
        self.managed.deleter = self._deleter = Deleter(self._delete)
        self.name: bytes = b"dltensor_versioned" if versioned else b"dltensor"
        self._shape = (ctypes.c_int64 * max(1, len(shape)))(*shape)
        tensor = self.tensor = self.managed.tensor
        tensor.data, tensor.byte_offset = address - offset, offset
        tensor.device = Device(*device)
        tensor.ndim, tensor.dtype = len(shape), DataType(*dtype)
        tensor.shape = self._shape
        if strides is not None:
            self._strides = (ctypes.c_int64 * max(1, len(strides)))(*strides)
            tensor.strides = self._strides

    def _delete(self, _: int) -> None:
        self.deleted += 1

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.says_device

    def __dlpack__(self, **asked: Any) -> Any:
        self.asked.append(asked)
        return _new(ctypes.addressof(self.managed), self.name, None)


class OldPeer(Peer):
    """Of before DLPack 1.0: knows no other argument than the stream."""

    def __dlpack__(self, stream: int | None = None) -> Any:  # type: ignore[override]
        self.asked.append({"stream": stream})
        return _new(ctypes.addressof(self.managed), self.name, None)


def peer_of(array: np.ndarray[Any, Any], kind: type[Peer] = Peer, **more: Any) -> Peer:
    """A NumPy array as a foreign one, its strides as they are."""
    return kind(
        array.ctypes.data,
        array.shape,
        [s // array.itemsize for s in array.strides],
        keep=array,
        **more,
    )


def take(capsule: Any) -> tuple[Any, Any]:
    """Takes a capsule as a consumer does: (its struct, a function that calls the deleter)."""
    name = _name(capsule)
    kind = ManagedVersioned if name == b"dltensor_versioned" else Managed
    address = _pointer(capsule, name)
    _rename(capsule, b"used_" + name)
    return kind.from_address(address), lambda: kind.from_address(address).deleter(address)


def numbers(tensor: Tensor) -> np.ndarray[Any, Any]:
    """What a tensor without gaps shows: also "device" memory, where a host plays the device."""
    shape = tuple(tensor.shape[d] for d in range(tensor.ndim))
    floats = ctypes.cast(tensor.data + tensor.byte_offset, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(floats, shape)
