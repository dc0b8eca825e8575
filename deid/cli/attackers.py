"""``deid attackers``: whom an audit can send against a data set."""

from __future__ import annotations


def attackers() -> None:
    """List the attackers of `deid audit`, and what each needs."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from deid.audit.attackers import ATTACKERS, critic, of_timm, siamese, trained, whiten

    table = Table(box=SIMPLE_HEAD)
    for column in ("attacker", "what it sees", "needs"):
        table.add_column(column, no_wrap=column == "attacker")
    for entry in ATTACKERS.values():
        floor = " (a floor: what every usable copy keeps)" if entry.floor else ""
        table.add_row(entry.name, entry.summary + floor, entry.needs)
    table.add_row("trained:NAME", trained.SUMMARY, "what NAME needs")
    table.add_row(of_timm.FORM, of_timm.SUMMARY, "timm's hub, or a file")
    table.add_row(whiten.FORM, whiten.SUMMARY, "timm's hub, or files")
    table.add_row(siamese.FORM, siamese.SUMMARY, f"{siamese.GPU}; timm's hub, or a file")
    table.add_row("critic:CHECKPOINT", critic.SUMMARY, critic.NEEDS)
    # What stands in brackets may be left out; it is no markup.
    Console(markup=False).print(table)
