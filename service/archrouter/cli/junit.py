"""Results of policy suites as JUnit XML, for the reports of CI systems."""

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET  # XML is written here, never read

from archrouter.suites.calls import Answered, Failure
from archrouter.suites.run import CaseResult

# XML 1.0 has no way to write these at all, and conversations may hold them.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(suites: Mapping[str, Sequence[CaseResult]]) -> str:
    """Write a report: a test suite for each policy suite, by the name of its file, a test case for each conversation.

    A case with another route than expected is a failure, one whose call failed is an error.
    """
    root = ET.Element("testsuites")
    for name, results in suites.items():
        failures = sum(not result.passed and isinstance(result.answer, Answered) for result in results)
        errors = sum(isinstance(result.answer, Failure) for result in results)
        counts = {"tests": str(len(results)), "failures": str(failures), "errors": str(errors), "skipped": "0"}
        duration = {"time": f"{sum(_duration_s(result) for result in results):.3f}"}
        suite = ET.SubElement(root, "testsuite", {"name": _clean(name), **counts, **duration})
        for result in results:
            _add_case(suite, name, result)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, suite_name: str, result: CaseResult) -> None:
    attributes = {
        "classname": _clean(suite_name),
        "name": _clean(result.case.name),
        "time": f"{_duration_s(result):.3f}",
    }
    case = ET.SubElement(suite, "testcase", attributes)
    if isinstance(result.answer, Failure):
        ET.SubElement(case, "error", {"type": result.answer.cause, "message": _clean(result.answer.message)})
    elif not result.passed:
        text = f"expected {result.expected}, got {result.actual}"
        failure = ET.SubElement(case, "failure", {"type": "route", "message": _clean(text)})
        failure.text = _clean("\n".join(f"{message.role.value}: {message.content}" for message in result.case.messages))


def _duration_s(result: CaseResult) -> float:
    return result.answer.duration_s if isinstance(result.answer, Answered) else 0.0


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
