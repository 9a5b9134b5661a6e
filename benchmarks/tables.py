"""Markdown tables, as all scripts print them."""


def table_head(*names: str) -> str:
    """Return the names of the columns, and the line below them that makes it a table."""
    return f"{table_row(*names)}\n|{'---|' * len(names)}"


def table_row(*cells: object) -> str:
    """Return the cells of a row."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"
