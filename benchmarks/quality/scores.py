"""Score models on folders of pairs, and print a table as in docs/results.md.

python -m benchmarks.quality.scores nledn dpenet PATH/TO/Rain100L-dev10 PATH/TO/Rain100H-dev10
"""

from pathlib import Path

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from derain.data import find_pairs
from derain.evaluate import evaluate, to_json, to_markdown
from derain.restore import load


def main() -> None:
    """Evaluate every model on every dataset."""
    parser = new_parser(__doc__)
    parser.add_argument("inputs", nargs="+", help="weights by name or file, and folders of pairs")
    parser.add_argument("--tile", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="where all scores go, for results_tables.py")
    parser.add_argument("--plot", type=Path, help="where PSNR against time goes, as SVG")
    arguments = parser.parse_args()
    folders = [Path(name) for name in arguments.inputs if Path(name).is_dir()]
    models = [name for name in arguments.inputs if not Path(name).is_dir()]
    evaluations = [
        evaluate(
            load(model, device=arguments.device, tile=arguments.tile, dtype="float32"),
            find_pairs(folder),
        )
        for folder in folders
        for model in models
    ]
    print(to_markdown(evaluations))
    print(f"\nMeasured on {describe_machine()}.")
    if arguments.json:
        arguments.json.write_text(to_json(evaluations))
    if arguments.plot:
        from derain.evaluate.report.plot import psnr_plot

        arguments.plot.write_text(psnr_plot(evaluations, "y-matlab"))


if __name__ == "__main__":
    main()
