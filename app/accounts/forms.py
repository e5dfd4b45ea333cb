from django import forms

from accounts.models import BrokerCredential, Statement


class CredentialForm(forms.ModelForm):
    class Meta:
        model = BrokerCredential
        fields = ["name", "secret"]

    def clean_name(self):
        name = self.cleaned_data["name"]
        if self.instance.user.broker_credentials.filter(name=name).exists():
            raise forms.ValidationError("You have an account of this name.")
        return name


class StatementForm(forms.ModelForm):
    class Meta:
        model = Statement
        fields = ["credential", "file"]

    def __init__(self, *arguments, user, **options):
        super().__init__(*arguments, **options)
        self.fields["credential"].queryset = user.broker_credentials.all()
        self.fields["credential"].label = "Account"

    def save(self, commit=True):
        self.instance.name = self.cleaned_data["file"].name
        return super().save(commit)
