"""Super-resolution techniques as words in a config, and papers' tables regenerated."""

import os

# A layer of large images is hundreds of megabytes of fresh memory, and handing that out page by
# page takes as long as a small network's convolutions. PyTorch asks Linux for huge pages if this is
# set before its first tensor; elsewhere it means nothing. No value changes.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# GNU's OpenMP workers spin for a while after each parallel region, on cores that other processes
# may want: beside two busy processes on two cores everything takes many times as long. Read when
# torch is imported; what the user has set stays.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "1000"
