"""Who is compared with whom: the linkages of the audit (DESIGN, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

#: The images as they are, as the release holds them, and as another release would hold them.
ORIGINAL, PROTECTED, SECOND = "original", "protected", "second"

#: How an attacker is fitted: to originals, or in the linkage's own roles.
FIXED, ADAPTIVE = "fixed", "adaptive"

#: The attacker that turns an edit back in every linkage.
UNDO = "undo"
#: Of the linkage that says nothing of a patient: whoever holds the very image finds everybody.
COPY = "copy"


@dataclass(frozen=True)
class Linkage:
    """A query in one form searched among people in another.

    Attributes
    ----------
    question
        What it answers.
    copies
        Whether the very original is looked for, and not another visit of the person.
    undone
        Whether attackers turn the edit of the query back before they look: none does without
        having learnt how.
    mixed
        Whether the gallery holds the images in the form of the queries as well.
    """

    name: str
    query: str
    gallery: str
    question: str
    copies: bool = False
    mixed: bool = False
    undone: bool = False

    @property
    def roles(self) -> tuple[str, str]:
        """The forms of query and gallery."""
        return self.query, self.gallery


LINKAGES = {
    linkage.name: linkage
    for linkage in (
        Linkage("original", ORIGINAL, ORIGINAL, "how exposed are the images now?"),
        Linkage("outer", PROTECTED, ORIGINAL, "does an archive of originals name the release?"),
        Linkage("reverse", ORIGINAL, PROTECTED, "is this person in the release?"),
        Linkage("inner", PROTECTED, SECOND, "do two releases link?"),
        Linkage(
            "pooled", PROTECTED, ORIGINAL, "does an archive that took releases in?", mixed=True
        ),
        Linkage("inverted", PROTECTED, ORIGINAL, "can the edit be turned back?", undone=True),
        Linkage(COPY, PROTECTED, ORIGINAL, "the attacker already holds the image", copies=True),
    )
}
