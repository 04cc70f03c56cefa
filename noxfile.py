"""The quick tests on every supported Python that is there: `nox`, or `nox --session tests-3.12`."""

import nox

nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Install the package with its tests' needs at the tested versions, and run the quick tests."""
    session.install("--constraint", "constraints.txt", "--editable", ".[dev]")
    session.run("python", "-m", "pytest", "-n", "auto", "-m", "not slow and not parity", *session.posargs)
