include "_binding.pxi"
