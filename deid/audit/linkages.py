"""Who is compared with whom: the linkages of the audit (DESIGN, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

#: The images as they are, as the release holds them, and as another release would hold them.
ORIGINAL, PROTECTED, SECOND = "original", "protected", "second"
#: The mean of several releases of an image, the release among them; and of as many others, the
#: second among them.
SEVERAL, OTHERS = "several", "several others"
#: The release, made for the attacker's own patients under the very same key.
OWN_KEY = "own key"
#: What another draw of a form is.
AGAIN = {PROTECTED: SECOND, SEVERAL: OTHERS}
#: Of forms that several releases make, the one that the first of them makes.
FIRST = {SEVERAL: PROTECTED, OTHERS: SECOND}

#: How an attacker is fitted: to originals, or in the linkage's own roles.
FIXED, ADAPTIVE = "fixed", "adaptive"

#: What an attacker learns by who has no remover to edit with.
BY_RELEASE = "protected images of other patients of the release itself"

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
    own_key
        Whether attackers learn by what the release itself made of other patients.
    knows
        What its attacker has that others have not, in words; ``{releases}`` is how many.
    """

    name: str
    query: str
    gallery: str
    question: str
    copies: bool = False
    mixed: bool = False
    undone: bool = False
    own_key: bool = False
    knows: str = ""

    @property
    def roles(self) -> tuple[str, str]:
        """The forms of query and gallery."""
        return self.query, self.gallery

    @property
    def several(self) -> bool:
        """Whether several releases of an image are pooled."""
        return self.query == SEVERAL

    @property
    def released(self) -> bool:
        """Whether it takes protected images."""
        return {self.query, self.gallery} != {ORIGINAL}

    @property
    def learns(self) -> bool:
        """Whether it is of attackers who have learnt, and of no other."""
        return self.undone or self.own_key


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
        Linkage(
            "outer_k",
            SEVERAL,
            ORIGINAL,
            "do several releases of one image name it?",
            knows="{releases} releases of each image, under as many keys, of which it looks at the "
            "mean",
        ),
        Linkage(
            "inner_k",
            SEVERAL,
            OTHERS,
            "do several releases of one image link to as many others?",
            knows="{releases} releases of each image on either side, under as many keys, of which "
            "it looks at the mean",
        ),
        Linkage(
            "own_key",
            OWN_KEY,
            ORIGINAL,
            "do pairs of others, made under its own key, give the release away?",
            own_key=True,
            knows="of other patients the originals and what the release itself made of them",
        ),
        Linkage(COPY, PROTECTED, ORIGINAL, "the attacker already holds the image", copies=True),
    )
}

#: Those that are tried where none is named; the others take long, or know more.
DEFAULT = (ORIGINAL, "outer", "inner")
