from ganforge.testing import conformance_cases


@conformance_cases("ganforge-cgan")
def test_conformance(case):
    case.run()
