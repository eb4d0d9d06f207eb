"""What float32 on a CPU gets of its own: attention and linear layers, and memory that is not cleared in advance."""
