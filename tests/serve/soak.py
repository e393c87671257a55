"""Run as a script, `make serve-soak`: clients that come all at once, stay, leave and send nonsense, and a look
at the server's memory after each wave. Ends with 1 where a picture is wrong, something is stuck, or memory grows.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import httpx2

BUNDLE = Path(__file__).parents[2] / "demo" / "bundle"
AT_ONCE = 200
ALLOWED = 40_000_000
"""Bytes that memory may grow by after the third wave: allocators keep some of what they once had."""


def resident(process: int) -> int:
    """Return a process's memory in bytes, as Linux tells it."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def body(seed: int, steps: int = 2, previews: bool = True) -> dict[str, object]:
    """Return a request."""
    return {"prompts": "a fox", "seed": seed, "steps": steps, "previews": previews}


async def ask(client: httpx2.AsyncClient, number: int, kept: dict[int, str]) -> str:
    """Do one of the things that clients do; return what came of it."""
    chance = random.Random(number)
    kind = chance.choice(["stays", "stays", "leaves", "leaves late", "nonsense", "file"])
    if kind == "nonsense":
        junk = chance.randbytes(chance.randrange(5000))
        answer = await client.post("api/generate", content=junk, headers={"content-type": "application/json"})
        return f"nonsense {answer.status_code}"
    if kind == "file":
        answer = await client.get("bundles/bundle/tokenizer.json")
        return f"file {answer.status_code}"
    seed = number % 5
    request = body(seed, 2 if kind == "stays" else 1000)
    async with client.stream("POST", "api/generate", json=request) as answer:
        if kind == "leaves":
            return "left"
        if kind == "leaves late":
            async for line in answer.aiter_lines():
                if line == "event: step":
                    break
            return "left"
        text = (await answer.aread()).decode()
    if answer.status_code == 429:
        return "full"
    picture = next(line for line in text.splitlines() if line.startswith('data: {"picture": 0') and '"png"' in line)
    return "right" if kept.setdefault(seed, picture) == picture else "wrong"


async def wave(address: str, first: int, kept: dict[int, str]) -> dict[str, int]:
    """Send so many requests at once, then one that must find the line empty; count what came of them."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=address, limits=limits, timeout=120) as client:
        found = await asyncio.gather(*(ask(client, first + number, kept) for number in range(AT_ONCE)))
        last = (await client.post("api/generate", json=body(0, 1))).text
    if not last.rstrip().endswith("event: done\ndata: {}"):
        sys.exit(f"the line is stuck: {last[-300:]}")
    return {name: found.count(name) for name in sorted(set(found))}


def main() -> None:
    """Send waves for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    end = time.monotonic() + parser.parse_args().seconds
    command = [sys.executable, "-m", "amused_edge", "serve", str(BUNDLE), "--api-only", "--port", "0", "--threads", "1"]
    kept: dict[int, str] = {}
    sizes = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            print(f"at rest: {resident(process.pid) / 1e6:.1f} MB")
            while time.monotonic() < end or len(sizes) < 4:
                counts = asyncio.run(wave(address, AT_ONCE * len(sizes), kept))
                sizes.append(resident(process.pid))
                print(f"wave {len(sizes)}: {counts}, {sizes[-1] / 1e6:.1f} MB", flush=True)
                if "wrong" in counts:
                    sys.exit("a picture is wrong")
        finally:
            process.terminate()
            process.wait(30)
    if sizes[-1] - sizes[2] > ALLOWED:
        sys.exit(f"memory grew from {sizes[2] / 1e6:.1f} to {sizes[-1] / 1e6:.1f} MB")
    print(f"memory after the third wave {sizes[2] / 1e6:.1f} MB, at the end {sizes[-1] / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
