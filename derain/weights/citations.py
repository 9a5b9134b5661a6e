"""The papers behind the networks, and derain itself, as BibTeX.

A network of derain's own has no paper: derain is cited alone. CITATION.cff holds the same works,
and a test compares the two.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Citation:
    """A work to cite.

    Attributes:
        kind: Type of the BibTeX entry.
        key: Its key.
        authors: Given name first.
        title: As printed.
        fields: What else the entry holds, such as ``year``, in order.
    """

    kind: str
    key: str
    authors: tuple[str, ...]
    title: str
    fields: dict[str, str] = field(default_factory=dict)

    def to_bibtex(self) -> str:
        """Return the BibTeX entry, without a line break at its end."""
        # Without inner braces, styles would write the title's words in small letters.
        values = {"author": " and ".join(self.authors), "title": f"{{{self.title}}}", **self.fields}
        width = max(map(len, values))
        lines = [f"  {name.ljust(width)} = {{{value}}}," for name, value in values.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


PAPERS = {
    "nledn": Citation(
        "inproceedings",
        "li2018nonlocally",
        ("Guanbin Li", "Xiang He", "Wei Zhang", "Huiyou Chang", "Le Dong", "Liang Lin"),
        "Non-locally Enhanced Encoder-Decoder Network for Single Image De-raining",
        {
            "booktitle": "Proceedings of the 26th ACM International Conference on Multimedia",
            "year": "2018",
            "eprint": "1808.01491",
            "archiveprefix": "arXiv",
        },
    ),
    "remaen": Citation(
        "inproceedings",
        "yang2019single",
        ("Youzhao Yang", "Hong Lu"),
        "Single Image Deraining using a Recurrent Multi-scale Aggregation and Enhancement Network",
        {
            "booktitle": "IEEE International Conference on Multimedia and Expo (ICME)",
            "year": "2019",
        },
    ),
    "crdnet": Citation(
        "article",
        "peng2020cumulative",
        ("Long Peng", "Aiwen Jiang", "Qiaosi Yi", "Mingwen Wang"),
        "Cumulative Rain Density Sensing Network for Single Image Derain",
        {
            "journal": "IEEE Signal Processing Letters",
            "volume": "27",
            "pages": "406--410",
            "year": "2020",
        },
    ),
    "dpenet": Citation(
        "article",
        "gao2024heavy",
        ("Tao Gao", "Yuanbo Wen", "Jing Zhang", "Kaihao Zhang", "Ting Chen"),
        "From Heavy Rain Removal to Detail Restoration: A Faster and Better Network",
        {
            "journal": "Pattern Recognition",
            "year": "2024",
            "eprint": "2205.03553",
            "archiveprefix": "arXiv",
        },
    ),
}
"""The paper of each published network, by its name in `derain.networks.NETWORKS`."""


def own_citation(version: str) -> Citation:
    """Return the entry of derain in a version."""
    return Citation(
        "software",
        "derain",
        ("{The derain authors}",),
        "derain: rain removal from photographs and video",
        {"version": version},
    )


def to_bibtex(networks: Iterable[str], version: str) -> str:
    """Return the papers of networks, each once, and derain itself, as BibTeX.

    Args:
        networks: Names of `derain.networks.NETWORKS`; those without a paper add nothing.
        version: The version of derain.
    """
    papers = [PAPERS[name] for name in dict.fromkeys(networks) if name in PAPERS]
    return "\n\n".join(work.to_bibtex() for work in (*papers, own_citation(version)))
