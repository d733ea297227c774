"""GGUF, the file of llama.cpp and what is built on it: written tensor by tensor, then read back by another reader."""

from trainer.engine.gguf.checking import read_back
from trainer.engine.gguf.writing import check_writable, rounded, write_gguf

__all__ = ["check_writable", "read_back", "rounded", "write_gguf"]
