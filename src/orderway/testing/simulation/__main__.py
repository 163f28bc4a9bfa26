"""``python -m orderway.testing.simulation SEED``: one run again, with its trace."""

import sys

from orderway.testing.simulation.run import simulate

if __name__ == "__main__":
    result = simulate(int(sys.argv[1]), trace=True)
    lines = [*result.trace, f"reached: {dict(result.reached)}", f"ended: {dict(result.ends)}", result.digest, ""]
    sys.stdout.write("\n".join(lines))
    result.check()
