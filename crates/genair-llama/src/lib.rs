//! The engine worker that runs a GGUF model by llama.cpp.
