"""The table task: many runs side by side, as a paper prints them."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError, near_miss
from fer_lab.places import refuse_unwritable_file
from fer_lab.report.roots import named_folders
from fer_lab.report.run_tables.table import RunTable


def table(cfg: DictConfig, folder: Path) -> RunTable:
    """Lay runs out, print the table, and write it as Markdown, LaTeX and CSV.

    Args:
        cfg: the composed configuration of ``conf/table.yaml``.
        folder: where the files are left unless ``cfg.output`` says otherwise; it exists.

    Raises:
        FerLabError: for a folder without runs, or a name that no run knows.
    """
    import sys

    from fer_lab.report.run_tables.formats import FORMATS, Style, write_table
    from fer_lab.report.run_tables.table import run_table

    options = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(options, dict)
    if options["format"] not in FORMATS:
        near = near_miss(str(options["format"]), FORMATS)
        raise ConfigError(
            f"there is no format {options['format']!r}"
            + (f"; did you mean {near!r}?" if near else ""),
            where="format",
            hint=f"choose one of: {', '.join(FORMATS)}",
        )
    if not isinstance(options["digits"], int) or not 0 <= options["digits"] <= 12:
        raise ConfigError(
            f"{options['digits']!r} is no number of digits", where="digits", hint="0 to 12"
        )
    for option in ("runs", "rows", "columns", "values"):
        _refuse_what_is_no_name(option, options[option])
    for option in ("where", "titles"):
        if not isinstance(options[option], dict | None):
            raise ConfigError(
                f"{option}={options[option]} is no mapping",
                where=option,
                hint=f'"{option}={{name: value, …}}", in quotes',
            )
    stem = Path(options["output"]).expanduser() if options["output"] else folder / "table"
    refuse_unwritable_file(stem.with_name(f"{stem.name}.csv"), "output")
    style = Style(
        options["digits"], options["percent"], options["titles"] or {}, bold=options["bold"]
    )
    found = run_table(
        named_folders(options["runs"]),
        rows=options["rows"],
        columns=options["columns"],
        values=options["values"],
        where=options["where"],
    )
    paths = write_table(found, stem, style)
    print(FORMATS[options["format"]](found, style), end="")
    print(f"written: {', '.join(map(str, paths))}", file=sys.stderr)
    return found


def _refuse_what_is_no_name(option: str, value: object) -> None:
    """Names are words: one, or a list of them; only columns cannot be left out."""
    words = value if isinstance(value, list) else [value] * (value is not None)
    if not all(isinstance(word, str) for word in words) or (option == "columns" and not words):
        raise ConfigError(
            f"{option}={value} names nothing",
            where=option,
            hint=f"see `fer-lab table --help`; several names: {option}=[one,another]",
        )
