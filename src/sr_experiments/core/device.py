"""The device a command computes on, its free memory, and the CPU cores that may be used.

torch is imported only inside the functions that need it.
"""

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sr_experiments.core.errors import UserError

if TYPE_CHECKING:
    import torch


def choose_device(name: str, key: str = "--device") -> "torch.device":
    """The device that ``auto``, ``cpu`` or ``cuda`` means.

    Args:
        name: ``auto`` is the GPU if there is one, else the CPU.
        key: the option or config key that gave the name, for the error.

    Raises:
        UserError: a GPU is asked for, and there is none.
    """
    import torch

    use_tf32(False)  # as in a run's scores
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise UserError(
            "no-gpu", "{key} cuda: PyTorch finds no GPU on this machine; use cpu or auto", key=key
        )
    return torch.device(("cuda" if gpu else "cpu") if name == "auto" else name)


def computes_bf16(accelerator: str) -> bool:
    """Whether the device of a run computes bfloat16 in hardware instead of emulating it.

    Args:
        accelerator: ``auto``, ``cpu`` or ``gpu``, as Lightning names it.
    """
    if accelerator != "cpu":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.is_bf16_supported(including_emulation=False)
    try:  # PyTorch tells whether it can compute bfloat16, not whether that is fast
        flags = re.search(r"^flags\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        return False
    return bool(flags and {"avx512_bf16", "amx_bf16"} & set(flags[1].split()))


def use_tf32(allowed: bool) -> None:
    """Whether a GPU may round the factors of fp32 products to TF32, in this process from now on.

    PyTorch lets convolutions do so unless it is told otherwise.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


def free_memory(device: "torch.device") -> int:
    """Bytes that may be taken on a device: two thirds of what is free there."""
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] * 2 // 3
    free = 4 * 2**30
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except OSError:  # not Linux
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    group = Path("/sys/fs/cgroup")
    try:  # a container may have less than its machine
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            free = min(free, int(most) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return max(0, free) * 2 // 3


def cores() -> int:
    """CPU cores this process may use: as SLURM says, else as the system does."""
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if granted.isdigit():
        return int(granted)
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1


def processor() -> str:
    """The processor's model, such as ``AMD EPYC 7763``; what the system tells, if not Linux."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def device_name(device: "torch.device") -> str:
    """What results name a device: times are compared between runs of one name only.

    A GPU's name, or ``cpu (2 threads, AMD EPYC 7763, AVX2)``: machines rent out one model with
    different instructions.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"cpu ({torch.get_num_threads()} threads, {processor()}, {instructions})"
