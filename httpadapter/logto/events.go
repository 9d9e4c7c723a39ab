package logto

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// The event types of Logto 1.42. What each of them carries is the application's affair:
// see [Protocol] for how the data of an event becomes a payload.
const (
	PostRegister                   = "PostRegister"
	PostSignIn                     = "PostSignIn"
	PostSignInAdaptiveMfaTriggered = "PostSignInAdaptiveMfaTriggered"
	PostResetPassword              = "PostResetPassword"

	UserCreated                   = "User.Created"
	UserDeleted                   = "User.Deleted"
	UserDataUpdated               = "User.Data.Updated"
	UserSuspensionStatusUpdated   = "User.SuspensionStatus.Updated"
	TrustedDeviceCreated          = "TrustedDevice.Created"
	TrustedDeviceDeleted          = "TrustedDevice.Deleted"
	RoleCreated                   = "Role.Created"
	RoleDeleted                   = "Role.Deleted"
	RoleDataUpdated               = "Role.Data.Updated"
	RoleScopesUpdated             = "Role.Scopes.Updated"
	ScopeCreated                  = "Scope.Created"
	ScopeDeleted                  = "Scope.Deleted"
	ScopeDataUpdated              = "Scope.Data.Updated"
	OrganizationCreated           = "Organization.Created"
	OrganizationDeleted           = "Organization.Deleted"
	OrganizationDataUpdated       = "Organization.Data.Updated"
	OrganizationMembershipUpdated = "Organization.Membership.Updated"
	OrganizationRoleCreated       = "OrganizationRole.Created"
	OrganizationRoleDeleted       = "OrganizationRole.Deleted"
	OrganizationRoleDataUpdated   = "OrganizationRole.Data.Updated"
	OrganizationRoleScopesUpdated = "OrganizationRole.Scopes.Updated"
	OrganizationScopeCreated      = "OrganizationScope.Created"
	OrganizationScopeDeleted      = "OrganizationScope.Deleted"
	OrganizationScopeDataUpdated  = "OrganizationScope.Data.Updated"

	IdentifierLockout  = "Identifier.Lockout"
	MessageRateLimited = "Message.RateLimited"
	GrantLimitExceeded = "Grant.LimitExceeded"
)

// interactionOf is the interactionEvent of the event types that come from an
// interaction of a user.
var interactionOf = map[string]string{
	PostRegister:                   "Register",
	PostSignIn:                     "SignIn",
	PostSignInAdaptiveMfaTriggered: "SignIn",
	PostResetPassword:              "ForgotPassword",
}

// eventTypes are those that are generally available, in Logto's order. The two
// of trusted devices are not: an application that has them adds them to its catalogue.
var eventTypes = []hooks.EventType{
	{Name: PostRegister, Description: "A user has registered."},
	{Name: PostSignIn, Description: "A user has signed in."},
	{Name: PostSignInAdaptiveMfaTriggered, Description: "A sign-in looked risky and needs a second factor."},
	{Name: PostResetPassword, Description: "A user has reset the password."},
	{Name: UserCreated, Description: "A user was created."},
	{Name: UserDeleted, Description: "A user was deleted."},
	{Name: UserDataUpdated, Description: "The data of a user have changed, such as profile, password or custom data."},
	{Name: UserSuspensionStatusUpdated, Description: "A user was suspended, or is no longer."},
	{Name: RoleCreated, Description: "A role was created."},
	{Name: RoleDeleted, Description: "A role was deleted."},
	{Name: RoleDataUpdated, Description: "A role has changed."},
	{Name: RoleScopesUpdated, Description: "The scopes of a role have changed."},
	{Name: ScopeCreated, Description: "A scope of an API resource was created."},
	{Name: ScopeDeleted, Description: "A scope of an API resource was deleted."},
	{Name: ScopeDataUpdated, Description: "A scope of an API resource has changed."},
	{Name: OrganizationCreated, Description: "An organization was created."},
	{Name: OrganizationDeleted, Description: "An organization was deleted."},
	{Name: OrganizationDataUpdated, Description: "An organization has changed."},
	{Name: OrganizationMembershipUpdated, Description: "The members of an organization have changed."},
	{Name: OrganizationRoleCreated, Description: "An organization role was created."},
	{Name: OrganizationRoleDeleted, Description: "An organization role was deleted."},
	{Name: OrganizationRoleDataUpdated, Description: "An organization role has changed."},
	{Name: OrganizationRoleScopesUpdated, Description: "The scopes of an organization role have changed."},
	{Name: OrganizationScopeCreated, Description: "An organization scope was created."},
	{Name: OrganizationScopeDeleted, Description: "An organization scope was deleted."},
	{Name: OrganizationScopeDataUpdated, Description: "An organization scope has changed."},
	{Name: IdentifierLockout, Description: "An identifier was locked after too many failed attempts."},
	{Name: MessageRateLimited, Description: "A message was not sent because of a rate limit."},
	{Name: GrantLimitExceeded, Description: "Grants were revoked because a user had too many."},
}

// EventTypes returns the 29 event types that hooks may ask for, with samples of
// their data. An application that sets [hooks.Config].Catalogue adds them to it.
func EventTypes() []hooks.EventType {
	list := slices.Clone(eventTypes)
	for i := range list {
		list[i].Example = sampleOf(list[i].Name)
	}
	return list
}

// sampleOf is the data of a test event.
func sampleOf(eventType string) json.RawMessage {
	if _, ok := interactionOf[eventType]; ok {
		return json.RawMessage(interactionSample)
	}
	return json.RawMessage(dataSample)
}

// sampleTime stands in samples for the time of a test, in milliseconds.
const sampleTime = "1700000000000"

// sampleAt is the data of a test event at a time: samples of this package have it in
// them, those of the application are as they are.
func sampleAt(sample json.RawMessage, now time.Time) json.RawMessage {
	if string(sample) != interactionSample {
		return sample
	}
	return json.RawMessage(strings.ReplaceAll(interactionSample, sampleTime, strconv.FormatInt(now.UnixMilli(), 10)))
}

// A test payload has no interactionEvent.
const interactionSample = `{
	"interactionEvent": null,
	"sessionId": "fake-session-id",
	"userAgent": "fake-user-agent",
	"userId": "fake-id",
	"userIp": "fake-user-ip",
	"user": {
		"id": "fake-id",
		"username": "fake-user",
		"primaryEmail": "fake-user@fake-service.com",
		"primaryPhone": "1234567890",
		"name": "Fake User",
		"avatar": "https://fake-service.com/avatars/fake-user.png",
		"customData": {"theme": "light"},
		"identities": {"google": {"userId": "fake-google-user-id"}},
		"profile": {},
		"applicationId": "fake-application-id",
		"cimdClientId": null,
		"isSuspended": false,
		"lastSignInAt": ` + sampleTime + `,
		"createdAt": ` + sampleTime + `,
		"updatedAt": ` + sampleTime + `
	},
	"application": {
		"id": "fake-spa-application-id",
		"type": "SPA",
		"name": "Fake Application",
		"description": "Fake application data for testing"
	}
}`

const dataSample = `{
	"userAgent": "fake-user-agent",
	"path": "/fake-path/:id",
	"method": "POST",
	"status": 200,
	"params": {"id": "fake-id"},
	"data": {"result": "success"}
}`
