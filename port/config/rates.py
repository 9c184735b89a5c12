"""Learning rates in the notation of other generations, rewritten in the notation of 2012 (config-format 9).

The functions change the text of options before a layer reads the options.
"""

from .grammar import read_2014_rate
from .ini import Option, Section
from .keys import Draft


def translate(draft: Draft, params: Section, sched: bool = False) -> None:
    """Rewrite the rates in the parameter section of a layer with weights.

    With `sched`, use the key ``sched``, which the release ignored, as ``schedW`` and ``schedB`` where those are absent.
    Raises ConfigError: a rate of 2014 cannot be read, or 2012 cannot express the rates: the inputs have different
    schedules.
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
