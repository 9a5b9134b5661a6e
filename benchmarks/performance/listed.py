"""Measure what `derain weights list` says of time and size, and write it into the catalogue.

    python -m benchmarks.performance.listed --write

Every weights of the package are timed as `derain bench` does: on the CPU, in float32, each engine
in a process of its own, all of them in turns. Nothing else should run meanwhile.
"""

from benchmarks.command import new_parser
from benchmarks.machine import commit
from benchmarks.tables import table_head, table_row
from derain.bench import Case, Timing, time_cases
from derain.networks import NETWORKS
from derain.networks.cost import count_parameters
from derain.weights import CATALOGUE, find_card
from derain.weights.catalogue import TABLE, Cost, replace_costs


def main() -> None:
    """Time all weights, print a table, and write it into the catalogue where that is asked for."""
    parser = new_parser(__doc__)
    parser.add_argument("--size", nargs=2, type=int, default=(1024, 683))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=2, help="timed in each process")
    parser.add_argument("--remark", default="", help="what else to say of the measurement")
    parser.add_argument("--write", action="store_true", help="into derain/weights/catalogue.json")
    arguments = parser.parse_args()
    width, height = arguments.size
    cases = [
        Case(name, engine, "float32", "cpu", width, height, None)
        for name, row in CATALOGUE.items()
        for engine in ("torch", *(("onnx",) if row.graph else ()))
    ]
    timings = time_cases(cases, rounds=arguments.rounds, pictures=arguments.pictures)
    costs = costs_of(timings)
    print(table_head("weights", "parameters", "torch, s/MP", "onnx, s/MP"))
    for name, cost in costs.items():
        onnx = "" if cost.onnx is None else f"{cost.onnx:.2f}"
        print(table_row(f"`{name}`", str(cost.parameters), f"{cost.torch:.2f}", onnx))
    machine = "; ".join(dict.fromkeys(timing.machine for timing in timings))
    parts = (f"{width}x{height}, float32, on the CPU", machine, arguments.remark)
    measured = "; ".join([*filter(None, parts), f"commit {commit()}"])
    print(f"\nMeasured: {measured}")
    if arguments.write:
        replace_costs(TABLE, costs, measured)


def costs_of(timings: list[Timing]) -> dict[str, Cost]:
    """Return what weights cost, by name."""
    seconds = {
        (timing.case.model, timing.case.engine): round(1 / timing.megapixels_per_second, 3)
        for timing in timings
    }
    names = dict.fromkeys(timing.case.model for timing in timings)
    return {
        name: Cost(parameters_of(name), seconds[name, "torch"], seconds.get((name, "onnx")))
        for name in names
    }


def parameters_of(name: str) -> int:
    """Return how many trained numbers weights of the catalogue have."""
    card = find_card(name)
    return count_parameters(NETWORKS[card.network](**card.hyperparameters))


if __name__ == "__main__":
    main()
