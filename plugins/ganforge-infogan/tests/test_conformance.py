from ganforge.testing import conformance_cases


@conformance_cases("ganforge-infogan")
def test_conformance(case):
    case.run()
