from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from django.views.generic import DeleteView, UpdateView

from accounts.forms import CredentialForm, StatementForm
from accounts.models import BrokerCredential, Statement
from accounts.tasks import refresh_balance


def page(request, credential_form=None, statement_form=None):
    context = {
        "credentials": request.user.broker_credentials.all(),
        "statements": own_statements(request.user).select_related("credential"),
        "credential_form": credential_form or CredentialForm(),
        "statement_form": statement_form or StatementForm(user=request.user),
    }
    wrong = credential_form or statement_form
    return render(request, "accounts/index.html", context, status=400 if wrong else 200)


def own_statements(user):
    return Statement.objects.filter(credential__user=user)


@login_required
def index(request):
    return page(request)


@sensitive_post_parameters("secret")
@login_required
@require_POST
def add_credential(request):
    form = CredentialForm(request.POST, instance=BrokerCredential(user=request.user))
    if not form.is_valid():
        return page(request, credential_form=form)
    form.save()
    return redirect("accounts:index")


@login_required
@require_POST
def refresh(request, pk):
    credential = get_object_or_404(request.user.broker_credentials, pk=pk)
    refresh_balance.delay(credential.pk)
    return redirect("accounts:index")


@login_required
@require_POST
def add_statement(request):
    form = StatementForm(request.POST, request.FILES, user=request.user)
    if not form.is_valid():
        return page(request, statement_form=form)
    form.save()
    return redirect("accounts:index")


@login_required
def statement(request, pk):
    """The file, for its owner alone; to everybody else there is none."""
    found = get_object_or_404(own_statements(request.user), pk=pk)
    try:
        file = found.file.open("rb")
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(file, as_attachment=True, filename=found.name)


class FormPage:
    template_name = "accounts/form.html"
    success_url = reverse_lazy("accounts:index")


class OwnCredential(LoginRequiredMixin, FormPage):
    def get_queryset(self):
        return self.request.user.broker_credentials.all()


class OwnStatement(LoginRequiredMixin, FormPage):
    def get_queryset(self):
        return own_statements(self.request.user)


@method_decorator(sensitive_post_parameters("secret"), "dispatch")
class ChangeCredential(OwnCredential, UpdateView):
    form_class = CredentialForm
    extra_context = {"title": "Change the account"}


class DeleteCredential(OwnCredential, DeleteView):
    extra_context = {"title": "Delete the account and its statements"}


class ChangeStatement(OwnStatement, UpdateView):
    form_class = StatementForm
    extra_context = {"title": "Change the statement"}

    def get_form_kwargs(self):
        return {**super().get_form_kwargs(), "user": self.request.user}


class DeleteStatement(OwnStatement, DeleteView):
    extra_context = {"title": "Delete the statement"}


class Login(FormPage, LoginView):
    redirect_authenticated_user = True
    extra_context = {"title": "Log in"}


class ChangePassword(FormPage, PasswordChangeView):
    extra_context = {"title": "Change the password"}
