"""Files of prices: strict YAML, one price per million tokens for each model.

::

    currency: USD
    models:
      provider/model: {input: 3.0, output: 15.0}
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from archrouter.domain.findings import Finding, Severity
from archrouter.strict_yaml.document import Number, Reading, Table, Text, read_document, read_file
from archrouter.workbench.impact import Price, PriceList
from archrouter.workbench.policies import unusable


class _Price(Table):
    input: Annotated[Number, Field(description="write the price of a million input tokens")] = 0.0
    output: Annotated[Number, Field(description="write the price of a million output tokens")] = 0.0


class _PriceFile(Table):
    currency: Text = ""
    models: dict[str, _Price] = Field({}, description="list prices, as in provider/model: {input: 3.0, output: 15.0}")


def read_prices(path: Path, output_tokens: int) -> PriceList:
    """Read a file of prices.

    Args:
        path: The file.
        output_tokens: Assumed length of every answer, >= 0.

    Returns:
        The prices.

    Raises:
        WorkbenchError: With every finding.
    """

    def build(file: _PriceFile, reading: Reading) -> PriceList:
        for model, price in file.models.items():
            for name in ("input", "output"):
                reading.put(f"models.{model}.{name}", price.at(name))
        models = {model: Price(price.input, price.output) for model, price in file.models.items()}
        return PriceList(file.currency, models, output_tokens)

    document = read_file(path, lambda text: read_document(text, _PriceFile, build, _check, "'models:' and prices"))
    if document.content is None:
        raise unusable(path, "price list", document.findings)
    return document.content


def _check(prices: PriceList) -> list[Finding]:
    return [
        Finding(Severity.ERROR, f"models.{model}.{name}", f"{value} is below 0; a price is not")
        for model, price in prices.models.items()
        for name, value in (("input", price.input), ("output", price.output))
        if value < 0
    ]
