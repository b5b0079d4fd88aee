"""Tests the order of the tweens in the complete service."""

from pyramid.interfaces import ITweens


def test_the_order_of_all_tweens(app):
    names = [name for name, _ in app.registry.getUtility(ITweens).implicit()]
    assert names == [
        "combine_core.observe.tween.request_tween_factory",
        "combine_core.api.responses.response_check_tween_factory",
        "combine_core.web.security_headers.security_headers_tween_factory",
        "combine_auth.public_url.public_url_tween_factory",
        "combine_auth.cross_site.cors_tween_factory",
        "pyramid_tm.tm_tween_factory",
        "pyramid.tweens.excview_tween_factory",
        "combine_core.web.problems.problem_tween_factory",
        "combine_core.web.hosts.hosts_tween_factory",
        "combine_core.web.guard.guard_tween_factory",
    ]
