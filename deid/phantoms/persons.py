"""Invented people: names, numbers and dates that look real, and belong to nobody."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from deid.phantoms.draw import generator

_FAMILY = (
    "Abernathy",
    "Brandvold",
    "Castellane",
    "Drummond",
    "Eskelund",
    "Fairweather",
    "Gallowhill",
    "Hartsfield",
    "Ingersleben",
    "Jankowiak",
    "Kettering",
    "Lindqvist",
    "Moravec",
    "Nightingale",
    "Oxenford",
    "Pemberton",
    "Quillfeather",
    "Rosenthal",
    "Stavropoulos",
    "Thistlewood",
    "Underhill",
    "Vandermeer",
    "Winterbourne",
    "Yarborough",
    "Zielinski",
)
_FEMALE = (
    "Adelheid",
    "Beatrix",
    "Clementine",
    "Dorothea",
    "Eleanora",
    "Felicitas",
    "Gwendolen",
    "Henrietta",
)
_MALE = (
    "Ambrosius",
    "Bartholomew",
    "Cornelius",
    "Desmond",
    "Evander",
    "Ferdinand",
    "Gottfried",
    "Humphrey",
)
_HOSPITALS = ("Saint Oswald Infirmary", "Northmoor General Hospital", "Clinica Vallombrosa")


@dataclass(frozen=True)
class Person:
    """Who an invented patient is. `seed` decides the body, all else is what headers say."""

    seed: int
    number: str
    family: str
    given: str
    sex: str
    born: datetime.date
    address: str
    phone: str
    hospital: str
    physician: str

    @property
    def name(self) -> str:
        """The name as DICOM writes it."""
        return f"{self.family}^{self.given}"


@dataclass(frozen=True)
class Visit:
    """One appointment of a person: `seed` decides pose, exposure and findings."""

    seed: int
    index: int
    when: datetime.datetime
    accession: str

    def age(self, person: Person) -> int:
        """Age in whole years on the day of the visit."""
        day = self.when.date()
        early = (day.month, day.day) < (person.born.month, person.born.day)
        return day.year - person.born.year - early


def person(seed: int, index: int) -> Person:
    """The person number `index` of the population that `seed` names."""
    random = generator("person", seed, index)
    sex = "FM"[int(random.integers(2))]
    given = (_FEMALE if sex == "F" else _MALE)[int(random.integers(8))]
    born = datetime.date(1930, 1, 1) + datetime.timedelta(days=int(random.integers(26_000)))
    return Person(
        seed=int(random.integers(2**62)),
        # The index is part of the number: two people never share one.
        number=f"PH{int(random.integers(10_000, 99_999))}{index:04d}",
        family=_FAMILY[int(random.integers(len(_FAMILY)))],
        given=given,
        sex=sex,
        born=born,
        address=f"{int(random.integers(1, 400))} Larkspur Crescent",
        phone=f"+1 555 01{int(random.integers(10, 99))}",
        hospital=_HOSPITALS[int(random.integers(len(_HOSPITALS)))],
        physician=f"{_FAMILY[int(random.integers(len(_FAMILY)))]}^Ottoline^^Dr",
    )


def visits(seed: int, index: int, number: int) -> list[Visit]:
    """The first `number` appointments of a person, weeks to years apart."""
    random = generator("visits", seed, index)
    when = datetime.datetime(2016, 1, 1) + datetime.timedelta(days=int(random.integers(1_000)))
    out = []
    for k in range(number):
        seconds = int(random.integers(8 * 3600, 18 * 3600))
        moment = when.replace(hour=0) + datetime.timedelta(seconds=seconds)
        accession = f"A{int(random.integers(10**8, 10**9))}"
        out.append(Visit(int(random.integers(2**62)), k, moment, accession))
        when += datetime.timedelta(days=int(random.integers(20, 500)))
    return out
