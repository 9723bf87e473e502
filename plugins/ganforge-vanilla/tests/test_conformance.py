from ganforge.testing import conformance_cases


@conformance_cases("ganforge-vanilla")
def test_conformance(case):
    case.run()
