"""``python -m orderway.testing.simulation SEED``: one run again, with its trace."""

import sys

from orderway.testing.simulation.run import simulate

if __name__ == "__main__":
    result = simulate(int(sys.argv[1]), trace=True)
    sys.stdout.write(f"{result.trace}reached: {dict(result.reached)}\nended: {dict(result.ends)}\n{result.digest}\n")
    result.check()
