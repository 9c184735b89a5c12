"""Learning rates as other generations wrote them, brought into the form of 2012 (config-format 9).

What is rewritten is the text of options, before a layer reads them.
"""

from .grammar import read_2014_rate
from .ini import Option, Section
from .keys import Draft


def translate(draft: Draft, params: Section, sched: bool = False) -> None:
    """Rewrite the rates in the parameter section of a layer with weights.

    Parameters
    ----------
    draft : keys.Draft
    params : ini.Section
        Its section in the parameter file.
    sched : bool
        Take the key ``sched``, which the release ignored, for ``schedW`` and ``schedB`` where these are absent.

    Raises
    ------
    ConfigError
        A rate of 2014 that cannot be read, or that 2012 cannot express: inputs with schedules of their own.
    """
    options = params.options
    common = options.pop("sched", None) if sched else None
    draft.advise(common is None, "is taken for schedW and schedB, where they are absent")
    for rate, schedule in (("epsW", "schedW"), ("epsB", "schedB")):
        option = params.find(rate)
        if option is not None and "[" in option.text:
            _translate_2014(draft, params, rate, schedule, option)
        elif common is not None:
            options.setdefault(schedule.lower(), common)


def _translate_2014(draft: Draft, params: Section, rate: str, schedule: str, option: Option) -> None:
    pieces = [piece.strip() for piece in option.text.split(",")]
    try:
        bases, schedules = zip(*map(read_2014_rate, pieces), strict=True)
    except ValueError as error:
        raise params.error("cannot be read", rate, expected=str(error), actual=option.text) from None
    draft.check(len(set(schedules)) == 1, "the inputs have unequal schedules", rate, expected="one", actual=option.text)
    draft.check(params.find(schedule) is None, f"has a schedule, and there is {schedule} too", rate)
    draft.tolerate("rates of 2014", rate, option.text)
    params.options[rate.lower()] = Option([",".join(bases)], option.line)
    params.options[schedule.lower()] = Option([schedules[0]], option.line)
