"""Run as a script, `make serve-fuzz`, with the path of Schemathesis: it sends what the server's own OpenAPI allows, and
what it does not, and holds the answers against it. Requests draw few steps, so that many come. That what is allowed is
taken is not asked: no description tells which texts are pictures.
"""

import subprocess
import sys
from pathlib import Path

BUNDLE = Path(__file__).parents[2] / "demo" / "bundle"
START = (
    "from amused_edge.serve import limits; limits.STEPS, limits.PICTURES = 12, 2\n"
    "from amused_edge.cli import main; main()"
)

OPTIONS = ["--phases", "fuzzing,coverage", "--exclude-checks", "positive_data_acceptance", "--request-timeout", "60"]


def main() -> None:
    """Start a server, fuzz it, and end with Schemathesis's exit code."""
    tool, *options = sys.argv[1:]
    command = [sys.executable, "-c", START, "serve", str(BUNDLE), "--api-only", "--port", "0", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            code = subprocess.run([tool, "run", f"{address}openapi.json", *OPTIONS, *options], check=False).returncode
        finally:
            process.terminate()
    sys.exit(code)


if __name__ == "__main__":
    main()
