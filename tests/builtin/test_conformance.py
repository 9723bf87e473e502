from ganforge.testing import conformance_cases


@conformance_cases("ganforge")
def test_conformance(case) -> None:
    case.run()
