"""Say what the user of a training run should know before the first step."""

from collections.abc import Iterator

from derain.data.audit.exchanged import warning_if_exchanged
from derain.recipes import Recipe
from derain.train.batches import BatchSource
from derain.train.ranks import Ranks
from derain.train.sources import Source, lacks_textures
from derain.train.state import State
from derain.train.step import measures_norms


def notes_on(
    recipe: Recipe,
    batches: BatchSource,
    state: State,
    ranks: Ranks,
    *,
    sources: tuple[Source, Source],
) -> Iterator[str]:
    """Yield what the user should know, a line each.

    Args:
        recipe: What is trained, and how.
        batches: What is trained on, under its rain.
        state: The network, as the run begins or is resumed.
        ranks: The processes of the run, the first of which looks at pictures.
        sources: What is trained on, and what is validated on.
    """
    if ranks.count > 1 and measures_norms(state, recipe):
        yield (
            f"batch normalisation measures {recipe.batch // ranks.count} crops in each process,"
            f" not all {recipe.batch}: results differ slightly from a run in one process"
        )
    if lacks_textures(recipe, batches):
        yield (
            f"{', '.join(recipe.rain)}: rain is drawn without streak textures; --set textures=DIR"
            " uses them"
        )
    # A trunk is begun to be trained further, and the other schedules have no warm-up.
    if recipe.schedule in ("cosine", "steps") and recipe.warmup >= recipe.steps:
        yield (
            f"the rate rises for warmup={recipe.warmup} steps, and the run has {recipe.steps}: it"
            f" never falls; --set warmup={recipe.steps // 10} lets it"
        )
    if ranks.writes:
        for pairs in dict.fromkeys(source.pairs for source in sources):
            if pairs and (warning := warning_if_exchanged(pairs)):
                yield warning
